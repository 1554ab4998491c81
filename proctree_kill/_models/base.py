"""The base of every value."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A value that never changes. An unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
