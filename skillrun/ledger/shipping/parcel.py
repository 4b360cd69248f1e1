"""What is sent in one go: some events of one run, with all rows that they seal, checked before they
leave.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from skillrun.ledger import chain
from skillrun.ledger.rows import REDACTED

EVENT_ROW = (*chain.EVENT_COLUMNS, "prev", "hash")
COLUMNS: dict[str, tuple[str, ...]] = {
    "run": chain.RUN_COLUMNS,
    "event": EVENT_ROW,
    "evidence": chain.EVIDENCE_COLUMNS,
    "telemetry": chain.TELEMETRY_COLUMNS,
}
"""Table -> its columns, in the order in which the tables are filled."""

_N, _TYPE = 1, 2
_DATA, _PREV, _HASH = EVENT_ROW.index("data"), EVENT_ROW.index("prev"), EVENT_ROW.index("hash")


# What sorts the rows of each table: the run, and the numbers within it.
_KEYS = {
    "run": itemgetter(0, 1),
    "event": itemgetter(0, 1),
    "evidence": itemgetter(0, 1, 2),
    "telemetry": itemgetter(0, 1),
}


class Unfit(Exception):
    """A run's rows are not what was written; `n` is the event at which it shows."""

    def __init__(self, n: int, why: str) -> None:
        super().__init__(why)
        self.n, self.why = n, why


@dataclass(frozen=True)
class Parcel:
    """Consecutive events of one run, and the rows of the other tables that belong to them, as lists
    of values.
    """

    run_id: str
    rows: dict[str, list[Sequence[Any]]]  # by table; see COLUMNS
    redacted: dict[str, list[Sequence[Any]]] = field(
        default_factory=lambda: {"event": [], "evidence": []}
    )
    """Earlier events with their evidence, out of which texts were taken since they were sent; their
    hashes stayed.
    """

    @property
    def events(self) -> list[Sequence[Any]]:
        """Its rows of the table `event`, by number."""
        return self.rows["event"]

    @property
    def first_n(self) -> int:
        """Number of its first event."""
        return int(self.events[0][_N])

    def check_hashes(self) -> None:
        """Recomputes every hash and every seal. Raises Unfit."""
        prev = self.events[0][_PREV]
        if self.first_n == 1 and prev != chain.GENESIS:
            raise Unfit(1, "the first event follows another one")
        evidence = _group_by_event(self.rows["evidence"])
        telemetry = {row[1]: row for row in self.rows["telemetry"]}
        for number, event in enumerate(self.events, self.first_n):
            if event[_N] != number:
                raise Unfit(number, "the event is missing")
            if event[_PREV] != prev or not _is_sound(event):
                raise Unfit(number, "the row does not fit its hash")
            self._check_seals(event, evidence, telemetry)
            prev = event[_HASH]
        self._check_redacted()

    def _check_redacted(self) -> None:
        evidence = _group_by_event(self.redacted["evidence"])
        for event in self.redacted["event"]:
            if not _is_sound(event):
                raise Unfit(event[_N], "the row does not fit its hash")
            _check_evidence(event, evidence)

    def _check_seals(
        self,
        event: Sequence[Any],
        evidence: dict[int, list[Sequence[Any]]],
        telemetry: dict[int, Sequence[Any]],
    ) -> None:
        seal = seal_of(event)
        found = [chain.run_seal(row) for row in self.rows["run"]]
        if "run" in seal and found != [seal["run"]]:
            raise Unfit(event[_N], "the row of the run is not the one that was sealed")
        _check_evidence(event, evidence)
        sealed = seal.get("telemetry")
        if sealed is not None:
            row = telemetry.get(sealed["invocation"])
            if row is None or chain.telemetry_seal(row) != sealed:
                raise Unfit(event[_N], "its telemetry is not what was sealed")


def _group_by_event(evidence: Sequence[Sequence[Any]]) -> dict[int, list[Sequence[Any]]]:
    found: dict[int, list[Sequence[Any]]] = {}
    for row in evidence:
        found.setdefault(row[_N], []).append(row)
    return found


def _check_evidence(event: Sequence[Any], evidence: Mapping[int, list[Sequence[Any]]]) -> None:
    seal = seal_of(event)
    rows = evidence.get(event[_N], [])
    digests = chain.evidence_seal(rows, by_texts=chain.covers_texts(seal))
    if digests != seal.get("evidence", []):
        raise Unfit(event[_N], "its evidence is not what was sealed")


def seal_of(event: Sequence[Any]) -> Mapping[str, Any]:
    """The digests that an event carries; none where its data is nothing that a ledger writes."""
    return chain.seal_in(event[_DATA])


def redacted_by(event: Sequence[Any]) -> list[int]:
    """The numbers of the events that an event says texts were taken out of."""
    if event[_TYPE] != REDACTED:
        return []
    try:
        numbers = json.loads(event[_DATA]).get("events")
    except (TypeError, ValueError, RecursionError, AttributeError):
        return []
    if not isinstance(numbers, list):
        return []
    return [n for n in numbers if isinstance(n, int)]


def _is_sound(event: Sequence[Any]) -> bool:
    hashed = event[: len(chain.EVENT_COLUMNS)]
    try:
        return bool(chain.event_hash(event[_PREV], hashed) == event[_HASH])
    except (TypeError, ValueError):  # a value that no ledger writes
        return False


def group_by_table(parcels: Sequence[Parcel]) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """(table, all its rows, by key): in one order everywhere, so that two who send at once wait for
    each other once.
    """
    for table in COLUMNS:
        rows: list[Sequence[Any]] = []
        for parcel in parcels:
            rows += parcel.rows[table]
        yield table, sorted(rows, key=_KEYS[table])
