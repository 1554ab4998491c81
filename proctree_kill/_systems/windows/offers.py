"""The features of this Windows, each checked by itself."""

from __future__ import annotations

from collections.abc import Iterator

from ..._models.limits import Limits
from ..contract import Offer, UnavailableError
from .job import TreeJob

PROBES = {"memory": Limits(memory="1G"), "processes": Limits(processes=100), "cpu": Limits(cpu=0.5)}


def offers() -> Iterator[Offer]:
    """Yield the features, and why some are missing."""
    held = "processes are held by handles, which reserve their numbers"
    yield Offer("handles", held, available=True)
    for name, limits in PROBES.items():
        try:
            job = TreeJob.make(dies_with_owner=False)
            try:
                job.limit(limits)
            finally:
                job.remove()
        except UnavailableError as error:
            yield Offer(f"limits: {name}", str(error), available=False)
        else:
            text = f"the {name} of a tree can be limited, by its job object"
            yield Offer(f"limits: {name}", text, available=True)
