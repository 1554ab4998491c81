"""The guard: a program that outlives its owner and ends the trees of that owner.

Nothing imports it: :mod:`._containment.guard` starts ``main`` of :mod:`.start` by name.
"""
