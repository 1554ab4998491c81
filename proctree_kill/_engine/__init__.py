"""The engine: finds, ends or only looks at any process tree.

Others use :mod:`.kill` and :mod:`.killing` (the calls, and a kill under way), :mod:`.target` and
:mod:`.shutdown` (what a caller may pass), :mod:`.process` (one process, opened and compared) and
:mod:`.markers`.
"""
