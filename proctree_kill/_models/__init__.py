"""The values that callers see: identities, trees, results, policies, errors.

All of them are pure: no clock, no signal, no system.
"""
