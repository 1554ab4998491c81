"""What a tree is started with, so that all of it is found again: marker, cgroup or job, guard.

Others use :mod:`.containment` (``Containment``), :mod:`.recalled` (``RecalledTree``) and
:mod:`.guard`.
"""
