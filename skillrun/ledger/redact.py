"""Takes the long texts out of an event and its evidence, where a secret slipped in; every hash stays true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.canonical import canonical
from skillrun.errors import Misuse, Refused
from skillrun.ledger import chain, texts
from skillrun.ledger.loosened import without_triggers
from skillrun.ledger.rows import REDACTED, NewEvent
from skillrun.ledger.store import Ledger

_KEPT = (chain.SEAL, "basis", "lookups")  # what a resume compares; never output
_TRIGGERS = ("event_no_update", "evidence_no_update")


@dataclass(frozen=True)
class Redaction:
    """Digest -> length in characters of each text that was taken out, or would be."""

    run_id: str
    n: int
    texts: dict[str, int]


def redact(
    path: Path, run: str, n: int, *, reason: str, actor: str, actor_kind: str, dry_run: bool = False
) -> Redaction:
    """Replaces each long text of event `n` and of its evidence by its digest, and records that in the same transaction.

    A long text has more than 64 characters. What a resume compares stays: basis, look-ups, facts. Raises Misuse where
    there is no such event, or it has no long text; Refused where it was written before long texts had digests.
    """
    with Ledger.open(path, read_only=dry_run) as ledger:
        run_id = ledger.resolve_run(run)
        if dry_run:
            return Redaction(run_id, n, _lengths(_found(ledger, run_id, n)))
        ledger.overwrite_freed()
        with ledger.writing() as db:
            found = _found(ledger, run_id, n)
            last, prev = ledger.head(run_id)
            data = {"event": n, "texts": sorted(found), "reason": reason}
            ledger.add(run_id, last + 1, prev, NewEvent(REDACTED, actor=actor, actor_kind=actor_kind, data=data), {})
            with without_triggers(db, _TRIGGERS):
                for table, column, i, value in _rows(ledger, run_id, n):
                    where = "run_id = ? AND n = ?" + ("" if i is None else f" AND i = {i:d}")
                    text = canonical(texts.without(value, found)).decode()
                    db.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (text, run_id, n))
    return Redaction(run_id, n, _lengths(found))


def _lengths(found: Mapping[str, str]) -> dict[str, int]:
    return {digest: len(text) for digest, text in found.items()}


def _found(ledger: Ledger, run_id: str, n: int) -> dict[str, str]:
    """The texts that would go."""
    rows = _rows(ledger, run_id, n)
    if not rows:
        raise Misuse(f"no event {n} in run {run_id}", hint=f"skillrun ledger show {run_id} numbers them")
    found = {digest: text for _, _, _, value in rows for digest, text in texts.long_texts(_open_to(value)).items()}
    if not found:
        what = f"event {n} of run {run_id}: no text of more than {texts.LONG} characters"
        raise Misuse(what, hint="shorter ones are under the hash itself, and stay")
    if not chain.covers_texts(rows[0][3]):
        what = f"event {n} of run {run_id} was written when a hash still covered the texts themselves"
        raise Refused(
            what, hint="skillrun ledger archive moves whole runs out; the archive can be kept apart or deleted"
        )
    return found


def _rows(ledger: Ledger, run_id: str, n: int) -> list[tuple[str, str, int | None, dict[str, Any]]]:
    """(table, column, number within the event, JSON value): the event first, then its evidence."""
    events = [event for event in ledger.events(run_id, after=n - 1) if event["n"] == n]
    evidence = ledger.evidence(run_id, n)
    rows: list[tuple[str, str, int | None, dict[str, Any]]] = [("event", "data", None, e["data"]) for e in events]
    return rows + [("evidence", "detail", row["i"], row["detail"]) for row in evidence if row["detail"] is not None]


def _open_to(value: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a JSON value whose texts may go."""
    shown = {key: member for key, member in value.items() if key not in _KEPT}
    if isinstance(result := shown.get("result"), dict):
        shown["result"] = {key: member for key, member in result.items() if key != "facts"}
    return shown
