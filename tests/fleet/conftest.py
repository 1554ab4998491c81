"""What the tests of fleets share. They need distributed, which a machine may lack."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from support.capabilities import has

if TYPE_CHECKING:
    from support.fleets import Part

INSTALLED = importlib.util.find_spec("distributed") is not None and has("fork")
collect_ignore_glob = [] if INSTALLED else ["test_*.py"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Part]:
    """Run three worker processes for all tests of a file."""
    from support.fleets import part  # noqa: PLC0415 - needs distributed

    with part("cluster", "3") as running:
        yield running


@pytest.fixture
def client(cluster: Part) -> Iterator[Any]:
    """Connect to the cluster of the file."""
    from support.fleets import client_of  # noqa: PLC0415 - needs distributed

    with client_of(cluster.address) as connected:
        yield connected
