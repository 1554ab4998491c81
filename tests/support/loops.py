"""Event loops to run a test on: asyncio's and trio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def on_asyncio(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on asyncio."""
    return asyncio.run(main())


def on_trio(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on trio."""
    result: T = pytest.importorskip("trio").run(main)
    return result


on_both = pytest.mark.parametrize(
    "loop", [on_asyncio, pytest.param(on_trio, marks=pytest.mark.needs("trio"))]
)
