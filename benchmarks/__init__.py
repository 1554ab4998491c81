"""Ratios of proctree_kill against its peers: ``python -m benchmarks``."""
