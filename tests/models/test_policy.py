"""Pure: the options of a kill, and reading them from a configuration."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from proctree_kill import KillPolicy
from proctree_kill._models.errors import PolicyError

SECTION = "mcp_session.termination"


def config(**options: object) -> dict[str, dict[str, dict[str, object]]]:
    """Wrap options as an application's configuration does."""
    return {"mcp_session": {"termination": options}}


def problems(config: Mapping[str, Any], section: str = SECTION) -> tuple[str, ...]:
    """Return what is wrong with a configuration."""
    with pytest.raises(PolicyError) as caught:
        KillPolicy.from_config(config, section)
    return caught.value.problems


def test_the_defaults_are_those_that_are_documented() -> None:
    assert KillPolicy().model_dump() == {
        "grace": 2.0,
        "settle": 5.0,
        "terminate": "top-down",
        "teardown": (),
        "include_root": True,
        "helper_timeout": 5.0,
    }


@settings(deadline=None)
@given(
    st.builds(
        KillPolicy,
        grace=st.floats(0, allow_infinity=False),
        settle=st.floats(0, allow_infinity=False),
        terminate=st.sampled_from(["tree", "root"]),
        include_root=st.booleans(),
        helper_timeout=st.floats(0, exclude_min=True, allow_infinity=False),
    )
)
def test_from_json_comes_what_went_into_it(policy: KillPolicy) -> None:
    assert KillPolicy.model_validate_json(policy.model_dump_json()) == policy


def test_a_policy_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        KillPolicy().grace = 1.0  # type: ignore[misc] # that is the test


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"grace": -1}, ["grace", "-1", "expected seconds, 0 or more"]),
        ({"settle": -0.5}, ["settle", "-0.5", "expected seconds, 0 or more"]),
        ({"helper_timeout": 0}, ["helper_timeout", "0", "expected seconds above 0"]),
        ({"grace": "2"}, ["grace", "'2'", "expected seconds"]),
        ({"grace": True}, ["grace", "True", "expected seconds"]),
        ({"grace": None}, ["grace", "None", "expected seconds"]),
        ({"grace": float("inf")}, ["grace", "inf", "expected seconds"]),
        ({"settle": float("nan")}, ["settle", "nan", "expected seconds"]),
        (
            {"terminate": "leaves"},
            ["terminate", "'leaves'", "expected 'top-down', 'tree' or 'root'"],
        ),
        ({"include_root": 1}, ["include_root", "1", "expected True or False"]),
        ({"include_root": "yes"}, ["include_root", "'yes'", "expected True or False"]),
        ({"grcae": 1}, ["'grcae' is unknown", "'grace'"]),
        ({"timeout": 1}, ["'timeout' is unknown", "helper_timeout"]),
        ({"zzz": 1}, ["'zzz' is unknown", "known: grace, settle"]),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_what_was_expected(
    options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(PolicyError) as caught:
        KillPolicy(**options)
    assert len(caught.value.problems) == 1
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", KillPolicy.model_fields)
def test_each_option_says_in_our_words_what_was_expected(name: str) -> None:
    options: dict[str, Any] = {name: object()}
    with pytest.raises(PolicyError) as caught:
        KillPolicy(**options)
    assert "expected" in str(caught.value)
    assert not {"None", "Input"} & set(re.findall(r"\w+", str(caught.value)))


def test_all_wrong_options_are_named_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        KillPolicy(grace=-1, settle="x", colour="red")  # type: ignore[arg-type, call-arg] # that is the test
    assert len(caught.value.problems) == 3


def test_an_integer_is_a_time() -> None:
    assert KillPolicy(grace=3).grace == 3.0


def test_options_are_replaced_where_they_are_given() -> None:
    policy = KillPolicy(grace=1, settle=2)
    changed = policy.but(grace=0.0, settle=None, include_root=False)
    assert changed == KillPolicy(grace=0, settle=2, include_root=False)
    assert policy == KillPolicy(grace=1, settle=2)
    assert policy.but(grace=None) == policy


def test_replacing_an_option_checks_it() -> None:
    with pytest.raises(PolicyError, match="grace is -1"):
        KillPolicy().but(grace=-1)


def test_a_policy_of_the_caller_stays_the_same() -> None:
    class Patient(KillPolicy):
        grace: float = 60.0

    assert isinstance(Patient().but(settle=1.0), Patient)
    assert Patient.from_config({}).grace == 60.0


def test_the_configuration_has_names_of_its_own() -> None:
    policy = KillPolicy.from_config(
        config(
            graceful_timeout_seconds=1.5,
            verification_wait_seconds=2,
            tasklist_timeout_seconds=3,
        )
    )
    assert policy == KillPolicy(grace=1.5, settle=2.0, helper_timeout=3.0)


def test_the_names_of_the_options_serve_as_well() -> None:
    policy = KillPolicy.from_config(config(grace=1, terminate="root", include_root=False))
    assert policy == KillPolicy(grace=1, terminate="root", include_root=False)


@pytest.mark.parametrize(
    "absent",
    [
        {},
        {"mcp_session": {}},
        {"mcp_session": None},
        {"mcp_session": {"termination": {}}},
        {"mcp_session": {"termination": None}},
        {"other": {"termination": {"grace": 9}}},
    ],
)
def test_where_the_section_is_absent_the_defaults_hold(absent: dict[str, Any]) -> None:
    assert KillPolicy.from_config(absent) == KillPolicy()


def test_the_section_may_be_any_path() -> None:
    assert KillPolicy.from_config({"kill": {"grace": 1}}, section="kill").grace == 1.0
    assert KillPolicy.from_config({"a": {"b": {"c": {"grace": 1}}}}, "a.b.c").grace == 1.0


@pytest.mark.parametrize(
    ("broken", "section", "text"),
    [
        ([], SECTION, "the configuration is [], expected a mapping"),
        ({"mcp_session": 3}, SECTION, "mcp_session is 3, expected a mapping"),
        (config() | {"mcp_session": {"termination": "x"}}, SECTION, "termination is 'x', expected"),
        ({"kill": False}, "kill", "kill is False, expected a mapping"),
    ],
)
def test_a_section_that_is_no_mapping_is_named(
    broken: dict[str, Any], section: str, text: str
) -> None:
    (problem,) = problems(broken, section)
    assert text in problem


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"graceful_timeout_seconds": -1}, ["graceful_timeout_seconds", "-1", "expected seconds"]),
        (
            {"verification_wait_seconds": "5"},
            ["verification_wait_seconds", "'5'", "expected seconds"],
        ),
        (
            {"tasklist_timeout_seconds": 0},
            ["tasklist_timeout_seconds", "0", "expected seconds above 0"],
        ),
        ({"graceful_timeout": 1}, ["'graceful_timeout' is unknown", "'graceful_timeout_seconds'"]),
        ({"setle": 1}, ["'setle' is unknown", "'settle'"]),
        ({"colour": 1}, ["'colour' is unknown"]),
        ({"grace": 1, "graceful_timeout_seconds": 1}, ["given twice", "'grace'"]),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_section(
    options: dict[str, object], words: list[str]
) -> None:
    (problem,) = problems(config(**options))
    for word in [SECTION, *words]:
        assert word in problem


def test_one_error_names_all_that_is_wrong() -> None:
    found = problems(config(grace=-1, verification_wait_seconds="soon", colour="red", settle=1))
    assert len(found) == 4


def test_a_key_that_is_no_string_is_unknown() -> None:
    (problem,) = problems({"mcp_session": {"termination": {5: 1}}})
    assert "'5' is unknown" in problem


@pytest.mark.parametrize(
    "teardown",
    [
        [("SIGINT", 3), ("SIGTERM", 2)],
        ["SIGINT 3", "term 2.0"],
        ([signal.SIGINT, 3.0], ("TERM", "2")),
    ],
)
def test_a_teardown_is_read_from_pairs_and_words(teardown: object) -> None:
    policy = KillPolicy(teardown=teardown)  # type: ignore[arg-type] # what a configuration holds
    assert policy.requests == (("SIGINT", 3.0), ("SIGTERM", 2.0))
    assert policy.grace == 5
    assert KillPolicy.from_config(config(teardown=teardown)) == policy


def test_without_a_teardown_sigterm_has_the_grace() -> None:
    assert KillPolicy(grace=3).requests == (("SIGTERM", 3.0),)


@pytest.mark.parametrize(
    ("teardown", "words"),
    [
        ("SIGINT 3", "expected a list"),
        (7, "expected a list"),
        (["SIGINT"], "expected a signal and its seconds"),
        (["SIGINT 3 4"], "expected a signal and its seconds"),
        ([7], "expected a signal and its seconds"),
        (["SIGITN 3"], "did you mean 'SIGINT'"),
        ([(9, 3)], "'SIG9' is unknown"),
        (["SIGKILL 3"], "force follows by itself"),
        (["SIGSTOP 3"], "force follows by itself"),
        (["SIGINT soon"], "'soon' is no number of seconds above 0"),
        (["SIGINT 0"], "'0' is no number"),
        ([("SIGINT", math.inf)], "inf is no number"),
    ],
)
def test_a_wrong_teardown_is_named_with_what_was_expected(teardown: object, words: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(words)):
        KillPolicy(teardown=teardown)  # type: ignore[arg-type] # wrong on purpose


def test_grace_and_teardown_replace_each_other() -> None:
    policy = KillPolicy(teardown=["SIGINT 3"])
    assert policy.but(grace=1).requests == (("SIGTERM", 1.0),)
    assert policy.but(settle=1).requests == (("SIGINT", 3.0),)
    assert KillPolicy(grace=9).but(teardown=["SIGHUP 1"]).grace == 1
    assert policy.but(grace=1, teardown=["SIGHUP 1"]).requests == (("SIGHUP", 1.0),)
    with pytest.raises(PolicyError, match="grace is 2, but teardown takes 3"):
        policy.but(grace=2, teardown=["SIGHUP 3"])
    with pytest.raises(PolicyError, match="grace is 2, but teardown takes 3"):
        KillPolicy.from_config(config(grace=2, teardown=["SIGHUP 3"]))
