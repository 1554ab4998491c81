"""What the fixture ``grow`` is: it starts a tree of nodes by TreePopen."""

from __future__ import annotations

from typing import Any, Protocol

from proctree_kill import TreePopen

from .nodes import Node
from .trees import Tree


class Grow(Protocol):
    """Starts trees by TreePopen, here in this process; they end with the test."""

    def __call__(self, node: Node, **options: Any) -> tuple[TreePopen[bytes], Tree]:
        """Start a tree, and return it when everybody in it has spoken."""
