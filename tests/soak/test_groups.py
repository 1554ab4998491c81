"""Real: parts of pipelines whose shell dies while another part is ended."""

from __future__ import annotations

import pytest

from support.counts import SOAK_DYING_SHELLS
from support.pipelines import harmed

pytestmark = [pytest.mark.soak, pytest.mark.needs("procfs", "pidfd", "bash")]


def test_no_other_part_of_a_pipeline_is_ever_touched() -> None:
    assert harmed(SOAK_DYING_SHELLS) == 0
