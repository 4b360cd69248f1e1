"""Does the receiver hold what the cursor says that it was sent? A cursor is a number in a file, and
proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Holding:
    """What one end holds of a run: how many events, the number and hash of the last one, and the
    rows beside them.
    """

    events: int
    last: int
    hash: str
    evidence: int
    telemetry: int


@dataclass(frozen=True)
class Sent:
    """What a ledger holds of a run, and how much of it lies before the cursor."""

    holding: Holding
    last_sent: int  # 0: nothing of it lies before the cursor


def list_lost_runs(sent: Mapping[str, Sent], there: Mapping[str, Holding]) -> Iterator[str]:
    """The runs that were sent, and of which the receiver lacks rows or holds other ones."""
    for run_id, ours in sent.items():
        if ours.last_sent and not _holds_what_was_sent(ours, there.get(run_id)):
            yield run_id


def _holds_what_was_sent(ours: Sent, theirs: Holding | None) -> bool:
    if theirs is None or theirs.events < ours.last_sent or theirs.last < ours.last_sent:
        return False
    # Only a part was sent, or they are further on: then the hash and the other rows need not be the
    # same, and the number of the events is all that can be compared.
    if theirs.last != ours.holding.last:
        return True
    same_rows = (
        theirs.evidence == ours.holding.evidence and theirs.telemetry == ours.holding.telemetry
    )
    return same_rows and theirs.hash == ours.holding.hash


def count_arrived_early(sent: Mapping[str, Sent], there: Mapping[str, Holding]) -> int:
    """How many events behind the cursor the receiver holds already: the cursor is older than what
    was sent.
    """
    found = 0
    for run_id, ours in sent.items():
        theirs = there.get(run_id)
        if theirs is not None:
            reached = min(theirs.last, ours.holding.last)
            found += max(reached - ours.last_sent, 0)
    return found


def split_into_batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The names, so many at a time."""
    for start in range(0, len(names), size):
        yield names[start : start + size]
