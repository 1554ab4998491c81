"""How often random tests run: a few times in the suite, the promised numbers in the soak."""

from __future__ import annotations

STORMS = 2
SOAK_STORMS = 50
FORKERS = 4
SOAK_FORKERS = 60
RECYCLINGS = 3
SOAK_RECYCLINGS = 1000
DEATHS = 12
SOAK_DEATHS = 300
CANCELLATIONS = 6
SOAK_CANCELLATIONS = 200
CHURN = 48
SOAK_CHURN = 200
HUNG = 8
SOAK_HUNG = 50
SOAK_OTHERS = 100
SOAK_GUARD_DEATHS = 40
SOAK_CONNECTIONS = 60
SPAWNS = 30
SOAK_SPAWNS = 1000
KILLS_IN_A_ROW = 20
SOAK_KILLS_IN_A_ROW = 200
FAULTS = 8
SOAK_FAULTS: int | None = 40  # calls of a scene that fail; None is each in every way, about an hour
INTERRUPTED_STARTS = 60
SOAK_INTERRUPTED_STARTS = 500
SIGNALLED_STARTS = 30
SOAK_SIGNALLED_STARTS = 450
WATCHED_STARTS = 150
SOAK_WATCHED_STARTS = 1500
STOPPED_STARTS = 40
SOAK_STOPPED_STARTS = 300
RACES = 16  # of a stop, an exit and a timeout of a session
SOAK_RACES = 1000
SCARCE = range(40)  # how many descriptors are free when something is started
DYING_SHELLS = 10
SOAK_DYING_SHELLS = 500
ORPHANS = 40
LOGS = 3
SOAK_LOGS = 20
SAVES = 2
SOAK_SAVES = 20
TASKS = 2  # at the same time, of one worker of Celery
REAPED = 4  # exits beside another part of the program that reaps
SOAK_REAPED = 200
