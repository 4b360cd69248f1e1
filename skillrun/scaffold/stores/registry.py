"""The kinds of store, and which one a job gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from skillrun.frameworks.pieces import Conventions, Facts, Piece, Render, Store
from skillrun.scaffold.stores import sqlite3
from skillrun.scaffold.stores.testing import Testing

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.stages.interface import Case


class Kind(Protocol):
    """A module of this package."""

    def pieces(self, facts: Facts, render: Render) -> list[Piece]:
        """The store's module, and the models and migrations that belong to it."""

    def testing(self, facts: Facts) -> Testing:
        """What the job's tests need of the store."""

    def proof_part(self, facts: Facts) -> dict[str, Any]:
        """The spec's `proof`, as far as the store decides it."""


KINDS: dict[str, Kind] = {"sqlite3": sqlite3}


def find_store(case: Case, spec: JobSpec, conventions: Conventions) -> Store:
    """The store that the spec's `dedupe.store` and the repository ask for."""
    module, _, name = (spec.handler or "").partition(":")
    package = module.rpartition(".")[0]
    own = f"{package}.{name}_store" if package else f"{name}_store"
    from skillrun.scaffold.facts import Names

    names = Names(case.project, conventions.source_root)
    dedupe = spec.idempotency.dedupe if spec.idempotency else None
    kind, _, table = (dedupe.store if dedupe and dedupe.store else "").partition(" ")
    guarantees = {effect.guarantee for effect in spec.effects or ()}
    found = sqlite3.find_connect(case.project, names.path(module))
    connect, facts = found if found else (None, {"style": "transaction", "env": "DATABASE_PATH", "default": "app.db"})
    return Store(
        kind="receiver" if kind == "receiver" else "sqlite3",
        module=own,
        path=names.path(own),
        name=table,
        window_s=dedupe.window if dedupe else None,
        transactional="transactional" in guarantees,
        claims="at_most_once" in guarantees,
        connect=connect,
        facts=facts,
    )


def pieces(facts: Facts) -> list[Piece]:
    """The pieces of the store that a job has."""
    from skillrun.scaffold.render import FOLDER, Renderer

    return KINDS[facts.store.kind].pieces(facts, Renderer(FOLDER / "stores" / "templates"))


def proof_part(facts: Facts) -> dict[str, Any]:
    """The spec's `proof` as far as the store decides it."""
    return KINDS[facts.store.kind].proof_part(facts)


def testing(facts: Facts) -> Testing:
    """What the tests of a job need of its store."""
    return KINDS[facts.store.kind].testing(facts)
