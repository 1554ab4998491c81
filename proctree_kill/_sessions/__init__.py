"""Sessions: trees with an id, a state, a record and events.

Others use :mod:`.manager` (``SessionManager``) and :mod:`.models`.
"""
