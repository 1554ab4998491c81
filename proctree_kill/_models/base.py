"""The base of every value: frozen, and strict about its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A value that never changes; a field that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
