"""What is sent in one go: some events of one run, with all rows that they seal, checked before they leave."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillrun.ledger import chain

EVENT_ROW = (*chain.EVENT_COLUMNS, "prev", "hash")
COLUMNS: dict[str, tuple[str, ...]] = {
    "run": chain.RUN_COLUMNS,
    "event": EVENT_ROW,
    "evidence": chain.EVIDENCE_COLUMNS,
    "telemetry": chain.TELEMETRY_COLUMNS,
}
"""Table -> its columns, in the order in which the tables are filled."""

_N, _DATA, _PREV, _HASH = 1, EVENT_ROW.index("data"), EVENT_ROW.index("prev"), EVENT_ROW.index("hash")


class Unfit(Exception):
    """A run's rows are not what was written; `n` is the event at which it shows."""

    def __init__(self, n: int, why: str) -> None:
        super().__init__(why)
        self.n, self.why = n, why


@dataclass(frozen=True)
class Parcel:
    """Consecutive events of one run, and the rows of the other tables that belong to them, as lists of values."""

    run_id: str
    rows: dict[str, list[Sequence[Any]]]  # by table; see COLUMNS

    @property
    def events(self) -> list[Sequence[Any]]:
        return self.rows["event"]

    @property
    def first(self) -> int:
        """Number of its first event."""
        return int(self.events[0][_N])

    def check(self) -> None:
        """Recomputes every hash and every seal. Raises Unfit."""
        prev = self.events[0][_PREV]
        if self.first == 1 and prev != chain.GENESIS:
            raise Unfit(1, "the first event follows another one")
        evidence = {n: list(rows) for n, rows in itertools.groupby(self.rows["evidence"], key=lambda row: row[1])}
        telemetry = {row[1]: row for row in self.rows["telemetry"]}
        for number, event in enumerate(self.events, self.first):
            if event[_N] != number:
                raise Unfit(number, "the event is missing")
            if event[_PREV] != prev or not _is_sound(event):
                raise Unfit(number, "the row does not fit its hash")
            self._check_seals(event, evidence, telemetry)
            prev = event[_HASH]

    def _check_seals(
        self, event: Sequence[Any], evidence: dict[int, list[Sequence[Any]]], telemetry: dict[int, Sequence[Any]]
    ) -> None:
        seal = seal_of(event)
        if "run" in seal and [chain.run_seal(row) for row in self.rows["run"]] != [seal["run"]]:
            raise Unfit(event[_N], "the row of the run is not the one that was sealed")
        by_texts = seal.get(chain.TEXTS) is True
        if chain.evidence_seal(evidence.get(event[_N], []), by_texts=by_texts) != seal.get("evidence", []):
            raise Unfit(event[_N], "its evidence is not what was sealed")
        sealed = seal.get("telemetry")
        if sealed is not None:
            row = telemetry.get(sealed["invocation"])
            if row is None or chain.telemetry_seal(row) != sealed:
                raise Unfit(event[_N], "its telemetry is not what was sealed")


def seal_of(event: Sequence[Any]) -> Mapping[str, Any]:
    """The digests that an event carries; none where its data is nothing that a ledger writes."""
    return chain.seal_in(event[_DATA])


def _is_sound(event: Sequence[Any]) -> bool:
    try:
        return bool(chain.event_hash(event[_PREV], event[: len(chain.EVENT_COLUMNS)]) == event[_HASH])
    except (TypeError, ValueError):  # a value that no ledger writes
        return False


def by_table(parcels: Sequence[Parcel]) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """(table, all its rows, by key): in one order everywhere, so that two who send at once wait for each other once."""
    for table in COLUMNS:
        rows = [row for parcel in parcels for row in parcel.rows[table]]
        yield table, sorted(rows, key=lambda row: (row[0], *row[1:3]) if table == "evidence" else (row[0], row[1]))
