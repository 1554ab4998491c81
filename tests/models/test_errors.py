"""Pure: exceptions know their facts, and pickle."""

from __future__ import annotations

import copy
import pickle

import pytest

from proctree_kill import Fate, KillResult, ProcessIdentity, ProcessOutcome, errors

RESULT = KillResult(
    target=(ProcessIdentity(pid=7),),
    outcomes=(
        ProcessOutcome(identity=ProcessIdentity(pid=8), name="stuck", fate=Fate.SURVIVED),
        ProcessOutcome(identity=ProcessIdentity(pid=9), fate=Fate.DENIED),
        ProcessOutcome(identity=ProcessIdentity(pid=7), name="root", fate=Fate.KILLED),
    ),
    seconds=1.0,
)
ERRORS = {
    "refused": errors.TargetRefusedError(7, "it is init"),
    "survivors": errors.SurvivorsError(RESULT),
    "one problem": errors.PolicyError("grace is -1"),
    "contained": errors.ContainmentError("kernel", "there is no cgroup"),
    "two problems": errors.PolicyError("grace is -1", "settle is 'x'"),
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("refused", "process 7 is refused: it is init"),
        ("survivors", "2 still alive: stuck (8, survived), ? (9, denied)"),
        ("contained", "containment 'kernel': there is no cgroup"),
        ("one problem", "grace is -1"),
        ("two problems", "grace is -1; settle is 'x'"),
    ],
)
def test_an_error_says_its_facts(name: str, text: str) -> None:
    assert str(ERRORS[name]) == text


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_survives_pickling_and_copying(name: str) -> None:
    error = ERRORS[name]
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301 - it was made here
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_each_error_keeps_its_facts() -> None:
    assert (errors.TargetRefusedError(7, "no").pid, errors.TargetRefusedError(7, "no").reason) == (
        7,
        "no",
    )
    assert errors.SurvivorsError(RESULT).result is RESULT
    contained = errors.ContainmentError("kernel", "none")
    assert (contained.requested, contained.reason) == ("kernel", "none")
    assert errors.PolicyError("a", "b").problems == ("a", "b")


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_error_is_the_librarys(error: errors.ProctreeKillError) -> None:
    assert isinstance(error, errors.ProctreeKillError)
    assert not isinstance(error, OSError)


def test_what_an_argument_is_wrong_for_is_a_value_error() -> None:
    assert issubclass(errors.TargetRefusedError, ValueError)
    assert issubclass(errors.PolicyError, ValueError)
    assert not issubclass(errors.SurvivorsError, ValueError)


def test_the_module_names_all_its_errors() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert {*errors.__all__} == defined
    for name in defined:
        assert name in (errors.__doc__ or "")
