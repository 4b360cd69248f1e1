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
    """The pieces of the store that a job has, after those of its dead letters: `once` imports
    `bury`.
    """
    from skillrun.skills.job_worker.scaffold.render import FOLDER, Renderer

    render = Renderer(FOLDER / "stores" / "templates")
    made: list[Piece] = []
    letters = _find_letters(facts)
    if letters is not None:
        made += STORES[letters.store.kind].pieces(letters, render)
    return made + STORES[facts.store.kind].pieces(facts, render)


def testing(facts: Facts) -> Testing:
    """What the tests of a job need of its store, of its dead letters, and of the table that is its
    library's queue.
    """
    needed = STORES[facts.store.kind].testing(facts)
    letters = _find_letters(facts)
    if letters is not None:
        needed += STORES[letters.store.kind].testing(letters)
    rows: Store | None = facts.store.extras.get("rows")
    if rows is not None:
        needed += django.testing(replace(facts, store=rows))
    return needed


def _find_letters(facts: Facts) -> Facts | None:
    """A store that only buries, where a job's finished work is remembered elsewhere."""
    store: Store | None = facts.store.extras.get("letters")
    if store is None:
        return None
    return replace(facts, store=store)
