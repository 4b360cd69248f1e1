"""Every kind of store that a scaffold can write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from skillrun.frameworks.pieces import Facts, Piece, Render
from skillrun.scaffold.stores import django, receiver, redis, sqlalchemy


class StoreKind(Protocol):
    """A module under `stores/`."""

    def pieces(self, facts: Facts, render: Render) -> list[Piece]:
        """The store's module, and the tables and migrations that are missing."""


STORES: Mapping[str, StoreKind] = {
    "django": django,
    "receiver": receiver,
    "redis": redis,
    "sqlalchemy": sqlalchemy,
}
