"""Start processes inside a containment: ``TreePopen``, ``run``, ``arun``.

Others use :mod:`.popen`, :mod:`.run` and :mod:`.options`.
"""
