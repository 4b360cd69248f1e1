"""Takes long texts out of events and their evidence, where a secret slipped in; every hash stays
true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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

    def found(self, secret: str | None) -> dict[str, str]:
        """Digest -> text of what would go."""
        kept = {key: member for key, member in self.value.items() if key not in _KEPT}
        if isinstance(result := kept.get("result"), dict):
            kept["result"] = {key: member for key, member in result.items() if key != "facts"}
        long = texts.long_texts(self.value if secret else kept)
        return {digest: text for digest, text in long.items() if secret is None or secret in text}


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
            return _redaction(ledger, run_id, wanted)
        ledger.overwrite_freed()
        with ledger.writing() as db:
            found = _redaction(ledger, run_id, wanted)
            last, prev = ledger.head(run_id)
            gone = sorted({digest for digests in found.texts.values() for digest in digests})
            data = {"events": sorted(found.texts), "texts": gone, "reason": reason}
            ledger.add(
                run_id,
                last + 1,
                prev,
                NewEvent(REDACTED, actor=actor, actor_kind=actor_kind, data=data),
                {},
            )
            with without_triggers(db, _TRIGGERS):
                for row in _rows(ledger, run_id, wanted.n):
                    if row.n in found.texts:
                        text = canonical(texts.without(row.value, found.texts[row.n])).decode()
                        db.execute(_UPDATE[row.i is None], (text, run_id, row.n, row.i))
    return found


_UPDATE = {
    True: "UPDATE event SET data = ?1 WHERE run_id = ?2 AND n = ?3 AND ?4 IS NULL",
    False: "UPDATE evidence SET detail = ?1 WHERE run_id = ?2 AND n = ?3 AND i = ?4",
}


def _redaction(ledger: Ledger, run_id: str, wanted: Wanted) -> Redaction:
    """What would go."""
    rows = list(_rows(ledger, run_id, wanted.n))
    if not rows:
        raise Misuse(
            f"no event {wanted.n} in run {run_id}",
            hint=f"skillrun ledger show {run_id} numbers them",
        )
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        for digest, text in row.found(wanted.secret).items():
            found.setdefault(row.n, {})[digest] = len(text)
    if not found:
        what = f"run {run_id}: no such text of more than {texts.LONG} characters"
        raise Misuse(what, hint="shorter ones are under the hash itself, and stay")
    _check_written_by_texts(run_id, rows, found)
    receivers = tuple(ledger.receivers(run_id, min(found)))
    return Redaction(run_id, found, tuple(_left(ledger, rows, run_id, wanted)), receivers)


def _check_written_by_texts(run_id: str, rows: list[_Row], found: Mapping[int, object]) -> None:
    old = [
        row.n
        for row in rows
        if row.i is None and row.n in found and not chain.covers_texts(chain.seal_of(row.value))
    ]
    if old:
        what = (
            f"event {old[0]} of run {run_id} was written when a hash still covered the texts"
            " themselves"
        )
        raise Refused(
            what,
            hint=(
                "skillrun ledger archive moves whole runs out; the archive can be kept apart or"
                " deleted"
            ),
        )


def _left(ledger: Ledger, rows: list[_Row], run_id: str, wanted: Wanted) -> Iterator[int]:
    """The events that will still hold the secret."""
    if wanted.secret is None:
        return
    paths = {row["n"] for row in ledger.evidence(run_id, wanted.n) if wanted.secret in row["path"]}
    written = canonical(wanted.secret).decode()[1:-1]
    for row in rows:
        if written in canonical(texts.without(row.value, row.found(wanted.secret))).decode():
            paths.add(row.n)
    yield from sorted(paths)


def _rows(ledger: Ledger, run_id: str, n: int | None) -> Iterator[_Row]:
    """An event and its evidence, or those of the whole run."""
    for event in ledger.events(run_id, after=0 if n is None else n - 1):
        if n is None or event["n"] == n:
            yield _Row(event["n"], None, event["data"])
    for row in ledger.evidence(run_id, n):
        if row["detail"] is not None:
            yield _Row(row["n"], row["i"], row["detail"])
