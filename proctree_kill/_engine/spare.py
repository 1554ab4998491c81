"""What is to be spared, as a caller passes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.tree import SpareCandidate
from .._systems import current
from .._systems.contract import System
from .._systems.member import Member, is_same, member_fields
from .markers import HIDDEN_PAUSE, HIDDEN_TIME, check_marker
from .pids import HasPid, check_pid
from .process import command_line
from .shutdown import is_coroutine_function

Predicate = Callable[[SpareCandidate], object]
Spare = Predicate | Iterable[int | str | ProcessIdentity | HasPid]

SPARED_PATTERN = r"^([^=/\x00]*[^=/\x000-9][^=/\x00]*|[^=\x00]+=[^\x00]+)$"
"""The pattern of names and of markers, as a record holds them."""
ALL_SPARED = "all that it starts would be spared"
NO_NAME = "its name cannot be read"
NO_ENVIRONMENT = "its environment cannot be read"


class Sparing:
    """The processes that one kill, or one look, does not touch.

    Attributes:
        processes: these, where a number is one of its identities.
        names: the processes of these programs.
        markers: the processes that carry one of these.
        predicate: those for which it is true.
    """

    def __init__(
        self,
        processes: Collection[ProcessIdentity] = (),
        names: Collection[str] = (),
        markers: Collection[bytes] = (),
        predicate: Predicate | None = None,
    ) -> None:
        """Take what was read of a caller's argument."""
        self.processes = processes
        self.names = names
        self.markers = markers
        self.predicate = predicate
        self._patience = HIDDEN_TIME  # in all

    @property
    def may_change(self) -> bool:
        """Whether a process may come to be spared: by its program or its environment."""
        return bool(self.names or self.markers)

    def names_process(self, member: Member) -> bool:
        """Whether it is one of the processes; where it cannot be compared, it is."""
        return any(
            identity.pid == member.pid and is_same(member, identity) is not False
            for identity in self.processes
        )

    def why_program(self, member: Member, system: System) -> str | None:
        """Return why a member is spared by its name or environment; where one is hidden, it is."""
        if self.names:
            name = system.name_among(member, self.names)
            if name is None and system.lives(member):
                return NO_NAME
            if name:
                return f"by its name {name}"
        if not self.markers:
            return None
        carries = self._carries(member, system)
        if carries is None:
            return NO_ENVIRONMENT
        if not carries:
            return None
        *others, last = self.markers
        found = (marker for marker in others if system.carries(member.pid, [marker]))
        return f"by its marker {os.fsdecode(next(found, last))}"

    def _carries(self, member: Member, system: System) -> bool | None:
        """Whether it carries a marker; None where its environment is hidden for good.

        In execve(2) a process has neither environment nor arguments, for a moment.
        """
        while (found := system.carries(member.pid, self.markers)) is None:
            if any(system.arguments(member)):
                return system.carries(member.pid, self.markers)
            if self._patience <= 0:
                break
            before = system.now()
            system.wait([], before + HIDDEN_PAUSE)
            self._patience -= system.now() - before
        return found


def sparing(spare: Spare | None) -> Sparing | None:
    """Read what a caller passes.

    Raises:
        TypeError: it is neither a predicate nor a list of what can be spared.
        ValueError: a number is no process's, or a text is neither a name nor a marker.
    """
    if spare is None:
        return None
    if callable(spare):
        if is_coroutine_function(spare):  # each process would be spared
            text = f"spare is a coroutine function, {spare!r}, expected a plain function"
            raise TypeError(text)
        return Sparing(predicate=spare)
    if isinstance(spare, str | bytes) or not isinstance(spare, Iterable):
        text = f"spare must be pids, identities, names or a predicate, not {spare!r}"
        raise TypeError(f"{text}; did you mean [{spare!r}]?" if isinstance(spare, str) else text)
    found = [*spare]
    texts = [thing for thing in found if isinstance(thing, str) and not thing.isdecimal()]
    others = [thing for thing in found if not isinstance(thing, str) or thing.isdecimal()]
    return Sparing(
        processes=[_identity(thing) for thing in others],
        names=[_check_name(text) for text in texts if "=" not in text],
        markers=[check_marker(text) for text in texts if "=" in text],
    )


class CheckedSpare(list[int | str | ProcessIdentity | HasPid]):
    """What was checked before its tree started: the caller may carry such a marker later."""


def check_spare(spare: Spare | None) -> Spare | None:
    """Check what a caller passes for a tree that is not started yet; return it for several reads.

    Raises:
        TypeError, ValueError: as for :func:`sparing`.
        TargetRefusedError: this process carries a marker, and so would all that it starts.
    """
    if isinstance(spare, Iterator):
        spare = list(spare)
    found = sparing(spare)
    if found is not None and found.markers:
        with current() as system:
            refuse_carried(system, found.markers, ALL_SPARED)
    return spare if spare is None or callable(spare) else CheckedSpare(spare)


def refuse_carried(system: System, markers: Iterable[bytes], detail: str | None = None) -> None:
    """Refuse markers that this process carries itself.

    Raises:
        TargetRefusedError: it carries one.
    """
    caller = os.getpid()
    for marker in markers:
        name, _, value = map(os.fsdecode, marker.partition(b"="))
        # The caller may have set it after its start: then only its children carry it.
        if os.environ.get(name, "") == value or system.carries(caller, [marker]):
            text = f"the caller itself carries the marker {name}"
            raise TargetRefusedError(caller, ", so ".join(filter(None, [text, detail])))


def refuse_given(env: Mapping[Any, Any], spare: Iterable[str]) -> None:
    """Refuse an environment for what is not started yet, if it carries a marker to spare.

    Raises:
        TargetRefusedError: it carries one, and so would all that is started in it.
    """
    fold = os.path.normcase  # on Windows the case of a name means nothing
    given = {(fold(os.fsdecode(name)), os.fsdecode(value)) for name, value in env.items()}
    for name, is_marker, value in (text.partition("=") for text in spare):
        if is_marker and (fold(name), value) in given:
            text = f"its environment carries the marker {name}, so {ALL_SPARED}"
            raise TargetRefusedError(os.getpid(), text)


def check_texts(spare: Iterable[str]) -> tuple[str, ...]:
    """Check names and markers, as :func:`check_spare`.

    Raises:
        TypeError, ValueError, TargetRefusedError: as there; or another thing is among them.
    """
    checked = check_spare(spare)
    found = sparing(checked)
    if found is not None and (found.predicate or found.processes):
        text = f"only names and NAME=VALUE can be spared by another process, not {checked!r}"
        raise TypeError(text)
    return texts_of(checked)


def texts_of(spare: Spare | None) -> tuple[str, ...]:
    """Return the names and the markers, which outlive this process in a record."""
    if spare is None or callable(spare):
        return ()
    return tuple(thing for thing in spare if isinstance(thing, str))


def candidate(member: Member) -> SpareCandidate:
    """Return a member as a predicate sees it."""
    return SpareCandidate.model_validate(member_fields(member), context=command_line)


def _check_name(name: str) -> str:
    if not name or "/" in name or "\0" in name:
        text = f"spare holds {name!r}, expected the name of a program without its folder"
        raise ValueError(text)
    return name


def _identity(process: object) -> ProcessIdentity:
    if isinstance(process, ProcessIdentity):
        return process
    return ProcessIdentity(pid=check_pid(getattr(process, "pid", process)))
