"""Windows: process handles, job objects, consoles, ``taskkill``.

Only ``_systems/__init__.py`` chooses a system; :mod:`.system` is this one.
"""
