"""Work in threads and beside event loops, out of reach of interrupts.

Others use :mod:`.threads` (``run``, ``Job``) and :mod:`.loops` (awaiting one).
"""
