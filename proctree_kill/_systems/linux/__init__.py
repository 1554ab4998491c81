"""Linux: procfs, pidfds, cgroups.

Only ``_systems/__init__.py`` chooses a system; :mod:`.system` is this one.
"""
