"""Measurements against other tools: ``python -m benchmarks``."""
