"""Pure: which state may follow which."""

from __future__ import annotations

from itertools import product

import pytest

from proctree_kill import SessionState, errors
from proctree_kill._sessions.models import MOVES
from proctree_kill._sessions.session import ManagedSession
from proctree_kill._sessions.stop import nothing_to_stop


@pytest.mark.parametrize(("before", "after"), list(product(SessionState, SessionState)))
def test_no_state_follows_but_those_of_the_table(before: SessionState, after: SessionState) -> None:
    session = ManagedSession("a", "mcp")
    session.state = before
    if after in MOVES[before]:
        session.end_stop(after, nothing_to_stop("a"))
        assert session.state is after
    else:
        with pytest.raises(errors.SessionError, match=f"cannot become {after}"):
            session.end_stop(after, nothing_to_stop("a"))
        assert session.state is before


def test_what_is_over_stays_over() -> None:
    for state in (SessionState.STOPPED, SessionState.EXITED):
        assert not MOVES[state]
