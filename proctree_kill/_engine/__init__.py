"""The engine: finds, ends or only looks at any process tree.

Others use :mod:`.kill` (``kill_tree``), :mod:`.target` (what a caller may pass) and
:mod:`.process` (one process, opened and compared).
"""
