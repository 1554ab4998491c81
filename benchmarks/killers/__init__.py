"""The killers in Python: each has ``kill(pid, grace)``, which counts whom it says lives."""
