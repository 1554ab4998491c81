"""The killers in Python. Each has ``kill(pid, grace)`` and returns the survivors it reports."""
