"""Pure: which Ctrl-C is a second one."""

from __future__ import annotations

from proctree_kill._cli.keys import FORGET_TIME, LOOK_TIME, RepeatedKeys


class Keys(RepeatedKeys):
    """Keys at a terminal whose mode a test sets."""

    def __init__(self) -> None:
        super().__init__(lambda: self.canonical)
        self.canonical = True


def test_in_canonical_mode_the_second_key_repeats_the_first() -> None:
    keys = Keys()
    assert [keys.typed(now) for now in (1.0, 2.0, 50.0)] == [False, True, True]


def test_in_raw_mode_no_key_repeats_another() -> None:
    keys = Keys()
    keys.canonical = False
    assert [keys.typed(now) for now in (1.0, 2.0)] == [False, False]
    assert keys.look_at is None


def test_a_key_in_raw_mode_makes_the_next_a_first() -> None:
    keys = Keys()
    keys.typed(1.0)
    keys.canonical = False
    keys.typed(2.0)
    keys.canonical = True
    assert not keys.typed(3.0)


def test_a_look_forgets_the_key_only_in_raw_mode() -> None:
    keys = Keys()
    keys.typed(1.0)
    assert keys.look_at == 1.0 + LOOK_TIME
    keys.look()
    assert keys.look_at is None
    assert keys.typed(2.0)
    keys.canonical = False
    keys.look()
    keys.canonical = True
    assert not keys.typed(3.0)


def test_a_key_is_forgotten_after_a_while() -> None:
    keys = Keys()
    keys.typed(1.0)
    assert not keys.typed(1.0 + FORGET_TIME)
