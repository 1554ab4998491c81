"""Work in threads and beside event loops, out of reach of interrupts.

Others use :mod:`.threads` (``run``, ``do``, ``WorkThread``) and :mod:`.loops` (awaiting work).
"""
