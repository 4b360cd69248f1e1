"""Dead letters in a table, for a job whose finished work is remembered elsewhere."""

from __future__ import annotations

from dataclasses import replace

from skillrun.frameworks.pieces import Facts, Piece, Render, Store
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


def letters(facts: Facts, render: Render) -> list[Piece]:
    """The pieces of `Store.facts["letters"]`, a store that only buries; none where there is no such
    store.
    """
    from skillrun.skills.job_worker.scaffold.stores.registry import STORES

    store: Store | None = facts.store.facts.get("letters")
    if store is None:
        return []
    return STORES[store.kind].pieces(replace(facts, store=store), render)


def testing(facts: Facts) -> Testing:
    """What tests need of such a store; nothing where there is none."""
    from skillrun.skills.job_worker.scaffold.stores.registry import STORES

    store: Store | None = facts.store.facts.get("letters")
    if store is not None:
        return STORES[store.kind].testing(replace(facts, store=store))
    return Testing()
