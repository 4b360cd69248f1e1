"""Takes long texts out of events and their evidence, where a secret slipped in; every hash stays
true.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.canonical import canonical
from skillrun.core.errors import Misuse, Refused
from skillrun.ledger import chain, texts
from skillrun.ledger.loosened import without_triggers
from skillrun.ledger.rows import REDACTED, NewEvent
from skillrun.ledger.store import Ledger

# What a resume compares; never output.
_KEPT = (chain.SEAL, "basis", "lookups")
_TRIGGERS = ("event_no_update", "evidence_no_update")


@dataclass(frozen=True)
class Redaction:
    """What was taken out, or would be: event number -> digest -> length of the text in characters.

    `left` numbers the events that still hold the secret where a hash covers it: in a short text, or
    in a path.
    `receivers` have been sent the texts.
    """

    run_id: str
    texts: dict[int, dict[str, int]]
    left: tuple[int, ...] = ()
    receivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Which texts are to go: those of one event, or those of a run that contain a secret, or
    both.
    """

    n: int | None = None
    secret: str | None = None


@dataclass(frozen=True)
class _Row:
    """The JSON of an event (`i` None) or of one row of its evidence."""

    n: int
    i: int | None
    value: dict[str, Any]

    def find_texts(self, secret: str | None) -> dict[str, str]:
        """Digest -> text of what would go."""
        # A secret goes wherever it is; without one, what a resume compares stays.
        if secret:
            searched = self.value
        else:
            searched = self._without_what_a_resume_compares()
        found = {}
        for digest, text in texts.long_texts(searched).items():
            if secret is None or secret in text:
                found[digest] = text
        return found

    def _without_what_a_resume_compares(self) -> dict[str, Any]:
        output = {}
        for key, member in self.value.items():
            if key not in _KEPT:
                output[key] = member
        result = output.get("result")
        if isinstance(result, dict):
            output["result"] = {key: member for key, member in result.items() if key != "facts"}
        return output


def redact(
    path: Path,
    run: str,
    wanted: Wanted,
    *,
    reason: str,
    actor: str,
    actor_kind: str,
    dry_run: bool = False,
) -> Redaction:
    """Replaces long texts by their digests, and records that in the same transaction.

    A long text has more than 64 characters. Without a secret, what a resume compares stays: basis,
    look-ups, facts. Raises Misuse where there is no such event or text; Refused where one was
    written before long texts had digests.
    """
    with Ledger.open(path, read_only=dry_run) as ledger:
        run_id = ledger.resolve_run(run)
        if dry_run:
            return _plan_redaction(ledger, run_id, wanted)
        # Before anything is freed: SQLite does not go back over pages that were free already.
        ledger.overwrite_freed()
        with ledger.writing() as db:
            found = _plan_redaction(ledger, run_id, wanted)
            last, prev = ledger.head(run_id)
            gone = set[str]().union(*found.texts.values())
            data = {"events": sorted(found.texts), "texts": sorted(gone), "reason": reason}
            event = NewEvent(REDACTED, actor=actor, actor_kind=actor_kind, data=data)
            ledger.add_event(run_id, last + 1, prev, event, {})
            with without_triggers(db, _TRIGGERS):
                for row in _read_rows(ledger, run_id, wanted.n):
                    if row.n in found.texts:
                        _overwrite_row(db, run_id, row, found.texts[row.n])
    return found


def _overwrite_row(
    db: sqlite3.Connection, run_id: str, row: _Row, digests: Mapping[str, object]
) -> None:
    text = canonical(texts.take_out(row.value, digests)).decode()
    if row.i is None:
        db.execute("UPDATE event SET data = ? WHERE run_id = ? AND n = ?", (text, run_id, row.n))
        return
    query = "UPDATE evidence SET detail = ? WHERE run_id = ? AND n = ? AND i = ?"
    db.execute(query, (text, run_id, row.n, row.i))


def _plan_redaction(ledger: Ledger, run_id: str, wanted: Wanted) -> Redaction:
    """What would go."""
    rows = list(_read_rows(ledger, run_id, wanted.n))
    if not rows:
        raise Misuse(
            f"no event {wanted.n} in run {run_id}",
            hint=f"skillrun ledger show {run_id} numbers them",
        )
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        for digest, text in row.find_texts(wanted.secret).items():
            found.setdefault(row.n, {})[digest] = len(text)
    if not found:
        what = f"run {run_id}: no such text of more than {texts.LONG} characters"
        raise Misuse(what, hint="shorter ones are under the hash itself, and stay")
    _check_written_by_texts(run_id, rows, found)
    left = tuple(_find_left(ledger, rows, run_id, wanted))
    # Whoever has the first of these events may have the text already, and is to be told.
    receivers = tuple(ledger.list_receivers(run_id, min(found)))
    return Redaction(run_id, found, left, receivers)


def _check_written_by_texts(run_id: str, rows: list[_Row], found: Mapping[int, object]) -> None:
    for row in rows:
        if row.i is not None or row.n not in found:
            continue
        if not chain.covers_texts(chain.seal_of(row.value)):
            raise Refused(
                f"event {row.n} of run {run_id} was written when a hash still covered the texts"
                " themselves",
                hint="skillrun ledger archive moves whole runs out; the archive can be kept apart"
                " or deleted",
            )


def _find_left(ledger: Ledger, rows: list[_Row], run_id: str, wanted: Wanted) -> Iterator[int]:
    """The events that will still hold the secret."""
    if wanted.secret is None:
        return
    left = set()
    for evidence in ledger.evidence(run_id, wanted.n):
        if wanted.secret in evidence["path"]:
            left.add(evidence["n"])
    # The secret as it looks within a JSON string, without the quotes around it.
    escaped = canonical(wanted.secret).decode()[1:-1]
    for row in rows:
        after = texts.take_out(row.value, row.find_texts(wanted.secret))
        if escaped in canonical(after).decode():
            left.add(row.n)
    yield from sorted(left)


def _read_rows(ledger: Ledger, run_id: str, n: int | None) -> Iterator[_Row]:
    """An event and its evidence, or those of the whole run."""
    before = 0
    if n is not None:
        before = n - 1
    for event in ledger.events(run_id, after=before):
        if n is None or event["n"] == n:
            yield _Row(event["n"], None, event["data"])
    for row in ledger.evidence(run_id, n):
        if row["detail"] is not None:
            yield _Row(row["n"], row["i"], row["detail"])
