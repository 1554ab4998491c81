"""Records: what is written about a tree on disk, and what it allows later.

Others use :mod:`.recording` (write and remove), :mod:`.assessment` (what a record allows) and
:mod:`.recover`.
"""
