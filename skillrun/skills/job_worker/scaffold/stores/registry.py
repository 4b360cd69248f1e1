"""Every kind of store that a scaffold can write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from skillrun.frameworks.pieces import Facts, Piece, Render, Store
from skillrun.skills.job_worker.scaffold.stores import django, receiver, redis, sqlalchemy, sqlite3
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


class StoreKind(Protocol):
    """A module under `stores/`."""

    def pieces(self, facts: Facts, render: Render) -> list[Piece]:
        """The store's module, and the tables and migrations that are missing."""

    def testing(self, facts: Facts) -> Testing:
        """What the job's tests need of the store."""


STORES: Mapping[str, StoreKind] = {
    "django": django,
    "receiver": receiver,
    "redis": redis,
    "sqlalchemy": sqlalchemy,
    "sqlite3": sqlite3,
}


def pieces(facts: Facts) -> list[Piece]:
    """The pieces of the store that a job has."""
    from skillrun.skills.job_worker.scaffold.render import FOLDER, Renderer

    return STORES[facts.store.kind].pieces(facts, Renderer(FOLDER / "stores" / "templates"))


def testing(facts: Facts) -> Testing:
    """What the tests of a job need of its store, and of the table that is its library's queue."""
    rows: Store | None = facts.store.facts.get("rows")
    own = STORES[facts.store.kind].testing(facts)
    if rows is not None:
        return own + django.testing(replace(facts, store=rows))
    return own
