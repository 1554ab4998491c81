"""What a tree is born with, so that it can be found again: marker, cgroup or job, guard.

Others use :mod:`.containment` (``Containment``) and :mod:`.guard`.
"""
