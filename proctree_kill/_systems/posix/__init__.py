"""POSIX systems beside Linux: psutil's walk, kqueue or polling, terminals.

Only ``_systems/__init__.py`` chooses a system; :mod:`.system` is this one.
"""
