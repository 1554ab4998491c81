"""One request to a tree: which members are sent the signal, and when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from .._systems.member import DIES, HANDLES, IGNORES, ROOT, Member, leaves_first


class Request:
    """A signal that members are sent from the top down, each of them once.

    A parent may pass the request on, as celery, gunicorn and many wrappers do. Its child would
    hear it twice, or lose its work, if it was asked at the same time. So a child waits until no
    living member is its parent, at most until the middle of the time for the request.
    """

    def __init__(
        self,
        signal: str,
        members: Iterable[Member],
        parents: Mapping[Member, Member],
        now: float,
        until: float,
    ) -> None:
        """Begin with no member asked.

        Args:
            signal: the name of the signal.
            members: the living members that are to be asked.
            parents: the member that is the parent, for each that waits for one.
            now: the time of the first request.
            until: when the time for the request is over.
        """
        self.signal = signal
        self.until = until
        self.middle = (now + until) / 2
        self.members = dict.fromkeys(members)
        self.waiting = self.members.copy()
        self.tried: set[Member] = set()
        self.parents = dict(parents)

    def add(self, members: Iterable[Member], parents: Mapping[Member, Member]) -> None:
        """Let more members be asked."""
        self.members.update(dict.fromkeys(members))
        self.waiting.update(dict.fromkeys(members))
        self.parents.update(parents)

    def ready(
        self, now: float, living: Collection[Member], denied: Collection[Member]
    ) -> list[Member]:
        """Return the members that are asked now; they wait no longer."""
        self.waiting = {member: None for member in self.waiting if member in living}
        ready = leaves_first(self.waiting)
        if self.parents and now < self.middle:
            from_the_top, ready = ready[::-1], []
            for member in from_the_top:
                if self._is_ready(member, living, denied):
                    self.tried.add(member)  # now, for its children's sake
                    ready.append(member)
        self.tried.update(ready)
        for member in ready:
            del self.waiting[member]
        return ready

    def next_look(self, now: float) -> float:
        """Return when all that wait are ready at the latest, or the end of the time."""
        return self.middle if self.waiting and now < self.middle else self.until

    def _is_ready(
        self, member: Member, living: Collection[Member], denied: Collection[Member]
    ) -> bool:
        parent = self.parents.get(member)
        if parent is None:
            return True
        if parent not in living:
            # It may have passed the request on just before it died.
            return not (parent.response == member.response == HANDLES)
        cannot_pass_on = (
            parent.response in (DIES, IGNORES) or parent.unreachable or parent in denied
        )
        return parent in self.tried and cannot_pass_on


def parents_of(members: Iterable[Member]) -> dict[Member, Member]:
    """Return the parents among members. Roots have none here: each is asked for itself."""
    by_pid = {member.pid: member for member in members}
    return {
        member: by_pid[member.ppid]
        for member in by_pid.values()
        if member.ppid in by_pid and member.depth and not member.evidence & ROOT
    }
