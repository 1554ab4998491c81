"""Pure: the limits of a tree, and reading them from text."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proctree_kill import KillPolicy, Limits
from proctree_kill._models.errors import PolicyError
from proctree_kill._models.limits import limits_or_none


def limits_of(**given: Any) -> Limits:
    """Make limits of what no type checker would let pass."""
    return Limits(**given)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1048576", 2**20),
        ("300B", 300),
        ("4K", 2**12),
        ("4kB", 2**12),
        ("4KiB", 2**12),
        ("4Ki", 2**12),
        ("512M", 2**29),
        ("512m", 2**29),
        ("2G", 2**31),
        ("2 GB", 2**31),
        ("1.5GiB", 3 * 2**29),
        (" 1T ", 2**40),
        ("0.5k", 512),
    ],
)
def test_memory_is_read_from_text(text: str, size: int) -> None:
    assert Limits(memory=text).memory == size


WRONG_TEXTS = ("", "G", "2X", "1iB", "-1", "-2G", "0", "0.1", "1,5G", "2G 1M", "1e9", "inf",
               "nan", str(2**63), "9" * 400 + "G", "\u0662G")  # fmt: skip


@pytest.mark.parametrize(
    "memory", [*WRONG_TEXTS, 0, -1, 1.5, True, b"2G", 2**63, [], float("inf")], ids=repr
)
def test_a_wrong_memory_is_named_with_what_is_expected(memory: object) -> None:
    with pytest.raises(PolicyError) as caught:
        limits_of(memory=memory)
    (problem,) = caught.value.problems
    assert problem == (
        f"memory is {memory!r}, expected bytes above 0, or text as '2G', '512M' or '1.5GiB'"
    )


@pytest.mark.parametrize("processes", [0, -1, 1.5, "1", True, 4_194_305], ids=repr)
def test_a_wrong_number_of_processes_is_named(processes: object) -> None:
    with pytest.raises(ValueError, match=r"processes is .* a whole number from 1 to 4194304"):
        limits_of(processes=processes)


@pytest.mark.parametrize(
    "cpu", [0, 0.009, -1, "1", True, float("nan"), float("inf"), 1e7], ids=repr
)
def test_a_wrong_number_of_cores_is_named(cpu: object) -> None:
    with pytest.raises(ValueError, match=r"cpu is .* a number of cores, 0.01 or more"):
        limits_of(cpu=cpu)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        limits_of(memory="much", processes=0, cpus=1)
    memory, processes, cpus = caught.value.problems
    assert memory.startswith("memory is 'much'")
    assert processes.startswith("processes is 0")
    assert cpus == "'cpus' is unknown; did you mean 'cpu'?"


def test_nothing_is_limited_by_default() -> None:
    limits = Limits()
    assert (limits.memory, limits.processes, limits.cpu) == (None, None, None)
    assert limits.given == {}
    assert limits_or_none(limits) is None


def test_limits_are_frozen_values() -> None:
    limits = Limits(memory="1M", processes=10, cpu=2)
    assert limits.given == {"memory": 2**20, "processes": 10, "cpu": 2.0}
    assert Limits.model_validate_json(limits.model_dump_json()) == limits
    with pytest.raises(ValidationError, match="frozen"):
        limits.memory = 1  # type: ignore[misc] # it is refused


def test_changes_replace_and_lift() -> None:
    limits = Limits(memory="1M", processes=10)
    assert limits.but(processes=None, cpu=0.5) == Limits(memory=2**20, cpu=0.5)
    assert limits.but() == limits
    with pytest.raises(PolicyError, match="memory is '1X'"):
        limits.but(memory="1X")


@pytest.mark.parametrize("given", [{"memory": "2G"}, "2G", 1, True, Limits])
def test_what_is_no_limits_says_how_to_make_some(given: object) -> None:
    with pytest.raises(TypeError, match=r'limits must be Limits, as Limits\(memory="2G"\), not '):
        limits_or_none(given)


@pytest.mark.parametrize(("options", "name"), [(Limits, "memory"), (KillPolicy, "grace")])
def test_options_without_names_are_refused_by_their_class(options: Any, name: str) -> None:  # noqa: ANN401 - called wrongly
    words = rf"^{options.__name__}\(\) takes options by name, as {name}=..., not '2G'$"
    with pytest.raises(TypeError, match=words):
        options("2G")
