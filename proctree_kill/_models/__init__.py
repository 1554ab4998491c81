"""The values that callers see: identities, trees, results, policies, errors.

All of it is pure: no clock, no signal, no system.
"""
