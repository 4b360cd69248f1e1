"""Which schedules a sweep follows: those whose job it may find undone."""

from __future__ import annotations

import pytest

from skillrun.probe.facts import BootFacts
from skillrun.proof.families.sweeps import follow_with_sweeps
from skillrun.proof.schedule import SWEEP, Schedule


def is_swept(family: str, facts: BootFacts) -> bool:
    (followed,) = follow_with_sweeps([Schedule(family, moves=("lose", "re-enqueue"))], facts)
    return SWEEP in followed.moves


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (BootFacts(lossy=True), True),  # Huey forgets what a dead worker had
        (BootFacts(acks_late=False), True),
        (BootFacts(acks_late=True), False),  # the broker brings it back itself
    ],
)
def test_where_a_death_loses_the_message_the_sweep_ends_a_crash_loop(
    facts: BootFacts, expected: bool
) -> None:
    assert is_swept("crash-loop", facts) is expected


def test_a_message_that_is_a_row_of_the_database_is_not_lost() -> None:
    """What brings it back looks at that row, and finds nothing without it: another message comes
    all the same. It may come while the dead worker's lease lasts, and do nothing: then a sweep of
    the application's own rows does it.
    """
    lost = Schedule("kill-lose", moves=("re-enqueue",), lose=True)
    (queued,) = follow_with_sweeps([lost], BootFacts(acks_late=True))
    assert queued.moves == ("sweep",)
    (row,) = follow_with_sweeps([lost], BootFacts(acks_late=True, keeps_rows=True))
    assert row.moves == ("re-enqueue", "sweep")
