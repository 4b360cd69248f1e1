"""What the proof as a whole must have seen: sources, stores that are written, queries that can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.proof.history import History
from skillrun.proof.reference import INCOMPLETE, Judgement, Reference
from skillrun.proof.state import StateError, Store, words

if TYPE_CHECKING:
    from skillrun.proof.explorer import Explorer


def world_judgements(
    target: Any, reference: Reference, histories: Iterable[History], explorer: Explorer
) -> list[Judgement]:
    """Whatever makes the verdict incomplete as a whole."""
    return [
        *_source(target.root, reference),
        *_volatile(reference),
        *_unread(target.spec, list(histories), explorer),
    ]


def _source(root: Path, reference: Reference) -> Iterator[Judgement]:
    """The handler that ran must be the one in this checkout, and no installed copy of it."""
    file = reference.facts.get("file")
    if file is None:
        return
    path = Path(file).resolve()
    inside = path.is_relative_to(root.resolve()) and "site-packages" not in path.parts
    if not inside:
        said = f"the handler was imported from {path.name} outside of this checkout"
        yield Judgement(INCOMPLETE, "source.elsewhere", f"{said}: an installed copy comes first on its path")


def _volatile(reference: Reference) -> Iterator[Judgement]:
    for name in sorted(reference.volatile):
        said = f"proof.state.{name} differs between two single runs: leave out times and random values"
        yield Judgement(INCOMPLETE, "state.volatile", said)


def _unread(spec: Any, histories: list[History], explorer: Explorer) -> Iterator[Judgement]:
    """A table that is written and that no query reads may hide a repetition."""
    written = _written(histories)
    if not written:
        return
    proof = spec.proof
    queries = list(proof.state.values()) if proof else []
    queries += [proof.dead_letters] if proof and proof.dead_letters else []
    if explorer.store is None:
        said = f"{', '.join(sorted({table for _, table in written}))} written, but proof.database names no database"
        yield Judgement(INCOMPLETE, "state.no-database", said)
        return
    read = _tables_read(explorer.store, queries)
    mine = getattr(explorer.store, "path", None)
    name = str(mine).replace(str(explorer.setting.place.scratch), "{scratch}")
    for store, table in sorted(written):
        if mine is not None and store.startswith("sqlite:") and store[7:] not in (name, str(Path(mine).resolve())):
            said = f"the handler writes to {Path(store[7:]).name}, which is not proof.database"
            yield Judgement(INCOMPLETE, "state.other-database", said)
        elif table and table not in read:
            said = f"the table {table} is written but no query of proof.state reads it"
            yield Judgement(INCOMPLETE, "state.unread", said)


def _written(histories: Iterable[History]) -> set[tuple[str, str]]:
    """(store, table) of every write in a delivery to the handler."""
    return {
        (event["store"], event["table"])
        for history in histories
        for delivery in history.deliveries
        if delivery.op in ("deliver", "callback", "died")
        for event in delivery.all("at")
        if event["kind"] == "sql" and event["verb"] in ("insert", "update", "delete") and event["when"] == "after"
        and event["store"] != ":memory:"
    }  # fmt: skip


def _tables_read(store: Store, queries: list[str]) -> set[str]:
    read: set[str] = set()
    for query in queries:
        try:
            read |= store.tables_read(query)
        except (StateError, AttributeError):
            read |= words(query)
    return read
