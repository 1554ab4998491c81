"""From the targets of a command line to processes that are bound, and are no mere numbers."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from .._engine import kill as engine
from .._engine.process import details, identify
from .._models.errors import TargetRefusedError
from .._models.identity import ProcessIdentity
from .._models.text import printable
from .._models.tree import TreeMember
from .._systems import boot_id, current, listeners, named
from .._systems.contract import Listener, System
from .._systems.member import ALIVE, Member, model_of
from . import questions
from .screen import Screen
from .target_text import Inode, Name, Port, UndecidedError

Look = Callable[[Collection[int] | None], set[int]]
"""Returns the processes that are wanted: of all, or of these."""

Bound = int | ProcessIdentity
"""What a target comes to; a pid is the caller's word."""

INIT, ROOT = 1, 0


class Targets(NamedTuple):
    """What the targets come to, and why some are refused, by their pids."""

    accepted: list[Bound]
    refused: dict[int, str]


def find(options: Namespace, screen: Screen, *, confirm: bool = False) -> Targets:
    """Find the processes that the targets name.

    Args:
        options: with ``targets``, ``json`` and, to confirm, ``yes``.
        screen: where lists and questions go.
        confirm: whether what a name leads to must be confirmed.

    Raises:
        UndecidedError: the list was printed.
    """
    found = Targets([], {})
    for written in options.targets:
        if isinstance(written, Port):
            found.accepted.extend(_by_port(written.number, options, screen))
        elif isinstance(written, Name):
            matches = _by_name(written.text, options, screen)
            if matches and confirm and not options.yes:
                try:
                    matches = _confirmed(written.text, matches, options, screen)
                except KeyboardInterrupt:
                    screen.error("interrupted; nothing was touched")
                    raise
            found.accepted.extend(match.identity for match in matches)
        elif isinstance(written, Inode):
            try:
                found.accepted.append(_by_inode(written))
            except TargetRefusedError as refusal:
                found.refused[refusal.pid] = str(refusal)
        else:
            found.accepted.append(written)
    return found


def _by_inode(written: Inode) -> ProcessIdentity:
    try:
        found = identify(written.pid)
    except ProcessLookupError:
        return ProcessIdentity(pid=written.pid, boot_id=boot_id(), inode=written.number)
    if found.inode == written.number:
        return found
    reason = f"it is another process: its inode is {found.inode}, not {written.number}"
    if found.inode is None:
        reason = f"its inode cannot be compared with {written.number}; Linux 6.9 and later have it"
    raise TargetRefusedError(written.pid, reason)


def _by_port(port: int, options: Namespace, screen: Screen) -> list[ProcessIdentity]:
    """Return the topmost holder of the sockets that listen on a port.

    Raises:
        UndecidedError: that is not one process of this user, to be ended as it is.
    """
    sockets: list[Listener] = []

    def look(among: Collection[int] | None) -> set[int]:
        sockets[:] = listeners(port, among)
        return {pid for socket in sockets for pid in socket.pids}

    with current() as system:
        holders = _bind(system, look)
        managers = _topmost(system, [m for m in holders if _is_manager(system, m)])
        top = _topmost(system, holders)
        others = {member.pid for member in holders if _is_foreign(system, member)}
        foreign = [member for member in top if member.identity.pid in others]
    if not sockets:
        _say(f"nothing listens on port {port} in this network namespace", options, screen)
        return []
    if managers:
        role = "init" if managers[0].identity.pid == INIT else "a service manager"
        problem = f"{_named(managers[0])} is {role}, and may hold it for what it starts"
    elif foreign:
        user = details(foreign[0].identity).user or "another user"
        problem = f"{_named(foreign[0])} belongs to {user}; name its pid to end it"
    elif strangers := [socket.stranger for socket in sockets if socket.stranger]:
        problem = f"{strangers[0]} has opened it; this user may not see which process holds it"
    elif not all(socket.pids for socket in sockets):
        problem = "a process holds it that is not visible here"
    elif len(top) > 1:
        problem = f"{len(top)} unrelated processes hold it; name a pid to end one"
    else:
        return [member.identity for member in top]
    _list(managers or top, options, screen)
    text = f"port {port}: {problem}"
    raise UndecidedError(text)


def _by_name(name: str, options: Namespace, screen: Screen) -> list[TreeMember]:
    """Return the processes of this user that run a program, without those below another one."""
    with current() as system:
        members = _bind(system, lambda among: set(named(name, among)))
        own_line = {os.getpid(), *system.ancestors(os.getpid())}
        ours = [m for m in members if _uid() == ROOT or not _is_foreign(system, m)]
        others = [member for member in ours if member.pid not in own_line]
        found = _topmost(system, others)
    left = [
        *(["this command runs below it"] if len(others) < len(ours) else []),
        *(["another user's is left alone"] if len(ours) < len(members) else []),
    ]
    if not found:
        other = "other " if left else ""
        _say("; ".join([f"no {other}process is named {name!r}", *left]), options, screen)
    return found


def _confirmed(
    name: str, matches: Sequence[TreeMember], options: Namespace, screen: Screen
) -> list[TreeMember]:
    """Return the matches that are to be ended.

    Raises:
        UndecidedError: none is.
    """
    if options.json or not questions.can_ask():
        _list(matches, options, screen)
        some = "process is" if len(matches) == 1 else "processes are"
        text = f"{len(matches)} {some} named {name!r}; name a pid, or end all with --yes"
        raise UndecidedError(text)
    picked: list[TreeMember] | None
    if len(matches) == 1:
        screen.tree(engine.snapshot_tree(matches[0].identity))
        question = f"End {_named(matches[0])} and all that it started?"
        picked = [*matches] if questions.confirm(question) else []
    else:
        picked = questions.pick("End which trees?", matches)
    if picked is None:
        _list(matches, options, screen)
        some = f"{len(matches)} processes are named {name!r}"
        text = f"{some}; name a pid, or end all with --yes"
        if not questions.is_dumb():
            text = (
                f"{some}; name a pid, end all with --yes, "
                "or pip install 'proctree_kill[cli]' to pick some"
            )
        raise UndecidedError(text)
    if not picked:
        text = f"no process that is named {name!r} was chosen"
        raise UndecidedError(text)
    return picked


def _bind(system: System, look: Look) -> list[Member]:
    """Bind the living processes that are wanted still when they are bound."""
    members = system.bind_all(sorted(look(None)))
    again = look({member.pid for member in members})
    return [
        member
        for member in members
        if member.state == ALIVE and member.pid in again and system.owns_number(member)
    ]


def _topmost(system: System, members: Sequence[Member]) -> list[TreeMember]:
    """Return those that are in the tree of no other."""
    pids = {member.pid for member in members}
    found = [model_of(m) for m in members if pids.isdisjoint(system.ancestors(m.pid))]
    if len(found) < 2:  # noqa: PLR2004 - alone
        return found
    trees = {match.identity: _tree(match.identity) for match in found}
    return [
        match
        for match in found
        if not any(match.identity in trees[other.identity] for other in found if other != match)
    ]


def _tree(identity: ProcessIdentity) -> set[ProcessIdentity]:
    return {member.identity for member in engine.snapshot_tree(identity).members}


def _is_manager(system: System, member: Member) -> bool:
    """Whether it holds sockets for services that it starts (systemd.socket(5), launchd)."""
    return member.pid == INIT or (member.name == "systemd" and "--user" in system.arguments(member))


def _is_foreign(system: System, member: Member) -> bool:
    """Whether it is another user's."""
    uids = system.uids(member)
    return bool(uids) and _uid() not in uids


def _uid() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else ROOT


def _named(member: TreeMember) -> str:
    return f"{printable(member.name or '?')} ({member.identity.pid})"


def _say(text: str, options: Namespace, screen: Screen) -> None:
    if not options.json:
        screen.info(text)


def _list(members: Collection[TreeMember], options: Namespace, screen: Screen) -> None:
    if members and not options.json:
        screen.processes(members)
