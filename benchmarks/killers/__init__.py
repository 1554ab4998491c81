"""The killers in Python.

Each has ``kill(pid, grace)`` and returns the survivors it reports.
Those that contain trees have ``start(argv)`` too, which returns the pid of the root.
"""
