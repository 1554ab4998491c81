"""A cgroup of version 2 around one tree, which nobody in it can leave unseen."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

assert sys.platform == "linux" or not TYPE_CHECKING  # what follows is for Linux

from . import _cgroupfs
from ._cgroupfs import DOOR, Place
from ._system import UnavailableError

PATIENT_ROUNDS = 4
"""How often a door is emptied before it is frozen, because its processes fork faster."""

_places: dict[int, Place] = {}
"""Where this process makes cgroups, by its number: a fork is another owner."""


_abandoned: set[Leaf] = set()
"""Leaves of objects that are gone while somebody lived in them."""


class Leaf:
    """The cgroup of one tree.

    A process is born in the cgroup of the *thread* that starts it, so that thread goes through a
    door: a threaded cgroup, which it enters alone, and whoever is there once it has left is moved
    into the leaf.
    So no descendant is ever born outside, and vfork is kept (``docs/design.md`` has the figures).

    Attributes:
        kind: which evidence its members are of.
        name: its directory.
        creation_flags: none.
        dies_with_owner: never.
    """

    kind: Literal["cgroup", "job"] = "cgroup"
    creation_flags = 0
    dies_with_owner = False  # that is the guard's work

    def __init__(self, folder: str, doors: list[str], home: str | None = None) -> None:
        """Stand for a cgroup that exists; :meth:`make` is the way to it."""
        self.name = folder
        self._doors = doors
        self._home = home
        self._maker = os.getpid()

    @classmethod
    def make(cls) -> Self:
        """Make one for a tree of this process.

        Raises:
            UnavailableError: this process may make none.
        """
        place = _place()
        _remove_abandoned()
        name = f"{_cgroupfs.owner_name()}-{secrets.token_hex(4)}"
        folder = f"{place.folder}/{name}"
        try:
            os.mkdir(folder)
            leaf = cls(folder, [f"{place.home}/{name}{DOOR}"], place.home)
            if not os.path.exists(f"{folder}/cgroup.kill"):
                leaf.remove()
                text = "the kernel has no cgroup.kill (Linux 5.14)"
                raise UnavailableError(text)
        except OSError as error:
            _places.clear()
            text = f"no cgroup can be made in {place.folder}: {error.strerror}"
            raise UnavailableError(text) from error
        return leaf

    @contextlib.contextmanager
    def spawning(self) -> Iterator[None]:
        """Have what this thread starts inside the block born in here.

        Raises:
            OSError: before anything ran: the kernel does not let us in.
        """
        (door,) = self._doors
        home = self._home or ""
        os.mkdir(door)
        try:
            _cgroupfs.write(f"{door}/cgroup.type", b"threaded")
            try:
                _cgroupfs.write(f"{door}/cgroup.threads", b"0")
                yield
            finally:  # also where an interrupt came right after that write
                _cgroupfs.write(f"{home}/cgroup.threads", b"0")
        finally:
            self._empty(door)
            with contextlib.suppress(OSError):
                os.rmdir(door)

    def adopt(self, pid: int) -> None:
        """Move a process in here that was born outside; its children stay where they are.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """
        _cgroupfs.write(f"{self.name}/cgroup.procs", b"%d" % pid)

    def start(self, pid: int) -> None:
        """Do nothing: whoever is born in here runs."""

    def pids(self) -> list[int]:
        """List who lives in here, in cgroups below included."""
        for door in self._doors:
            self._empty(door)
        paths = _cgroupfs.below(self.name)
        found = (_cgroupfs.numbers(f"{path}/cgroup.procs") for path in paths)
        return [int(one) for numbers in found for one in numbers]

    def kill(self) -> bool:
        """Kill everybody in here at once; tell whether the kernel took the order."""
        try:
            for door in self._doors:
                self._empty(door)
            _cgroupfs.write(f"{self.name}/cgroup.kill", b"1")
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Remove it, if nobody lives in it; tell whether it is gone."""
        if os.getpid() != self._maker:
            return False
        gone = [_cgroupfs.remove(one) for one in (*self._doors, self.name)]
        return all(gone)

    def abandon(self) -> None:
        """Remove it now, or when another one is made, or at exit."""
        if not self.remove():
            _abandoned.add(self)

    def _empty(self, door: str) -> None:
        """Move whoever was born in a door, and it cannot fork faster than that."""
        rounds = 0
        while numbers := _cgroupfs.numbers(f"{door}/cgroup.threads"):
            if rounds == PATIENT_ROUNDS:
                _cgroupfs.write(f"{door}/cgroup.freeze", b"1")
            for one in numbers:  # the number of a thread moves its process as well
                with contextlib.suppress(ProcessLookupError):
                    _cgroupfs.write(f"{self.name}/cgroup.procs", one)
            rounds += 1


@atexit.register
def _remove_abandoned() -> None:
    """Remove what was abandoned, where nobody lives any more."""
    for leaf in [*_abandoned]:
        if leaf.remove():
            _abandoned.discard(leaf)


def _place() -> Place:
    """Return where this process makes its cgroups; once, sweep there and move in.

    Raises:
        UnavailableError: nowhere.
    """
    pid = os.getpid()
    if (place := _places.get(pid)) is None:
        place = _cgroupfs.look()
        try:
            _cgroupfs.sweep(place.folder)
            if not place.root:
                _move_in(place)
        except OSError as error:
            text = f"this process cannot move below {place.folder}: {error.strerror}"
            raise UnavailableError(text) from error
        _places.clear()
        _places[pid] = place
    return place


def _move_in(place: Place) -> None:
    """Move this process into its home.

    Raises:
        OSError: the kernel refuses.
    """
    home = place.home
    with contextlib.suppress(FileExistsError):
        os.mkdir(home)
    _cgroupfs.write(f"{home}/cgroup.procs", b"0")
    atexit.unregister(leave_home)
    atexit.register(leave_home)


def tidy() -> None:
    """Sweep where this process could make cgroups, after moving out of its dead owner's home."""
    with contextlib.suppress(OSError, UnavailableError):
        folder = _cgroupfs.look().folder
        _cgroupfs.write(f"{folder}/cgroup.procs", b"0")
        _cgroupfs.sweep(folder)


def leave_home() -> None:
    """Move this process back to where it was, and remove its home; at its exit."""
    place = _places.pop(os.getpid(), None)
    if place is not None and not place.root:
        with contextlib.suppress(OSError):
            _cgroupfs.write(f"{place.folder}/cgroup.procs", b"0")
            _cgroupfs.remove(place.home)
