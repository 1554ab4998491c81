"""Times of the tests. A bound ends a test that fails; it never decides that one passes."""

import os

BOUND = float(
    os.environ.get("PROCTREE_TEST_BOUND", "25")
)  # seconds after which an event that must come counts as missing
PATIENCE = 10.0  # seconds of grace; a tree that leaves when asked ends it early
HASTE = 0.2  # seconds of grace that pass in full: a member ignores the request
LONG = 1000  # seconds that a process sleeps which a test must end
