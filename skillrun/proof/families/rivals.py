"""Somebody else commits a change to a row of the job, between its read and its write or effect."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.families.family import Planned, family
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import Event
from skillrun.proof.rivals import Rival
from skillrun.proof.schedule import Fault, Schedule

# Each is a run of the handler of its own: rows, values and writes multiply.
_MOST = 16
_WRITES = ("update", "insert", "replace", "merge")


def _looks_for_its_work(situation: Situation) -> str | None:
    # Its rows are there only once the application has brought its work.
    if situation.facts.ticks:
        return "a tick brings its own work"
    return None


@family(
    "rival",
    "the single run changes no row that somebody else could change otherwise",
    most=_MOST,
    unless=_looks_for_its_work,
)
def rival(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """Before each effect, and before each write to the row."""
    for one in situation.rivals:
        for event in situation.boundaries:
            if event["when"] == "before" and event.boundary and _concerns(event, one):
                yield Schedule("rival", (Fault("rival", event.boundary, error=one.text),))


@family(
    "rival",
    "the single run changes no row that somebody else could change otherwise",
    unless=_looks_for_its_work,
)
def rival_between(situation: Situation, planned: Planned) -> Iterator[Schedule]:
    """A keyed effect takes place and its answer is lost; before the next attempt reads the row,
    somebody else changes it.
    """
    first = next((event.boundary for event in situation.boundaries if event.boundary), None)
    keyed = {f"after:{effect.name}#1" for effect in situation.effects if effect.key_arg}
    for schedule in planned:
        if schedule.family != "error" or schedule.moves or len(schedule.faults) != 1:
            continue
        lost = schedule.faults[0]
        if lost.at not in keyed or first is None:
            continue
        keyed.remove(lost.at)
        for one in situation.rivals:
            if not one.is_decision:
                changed = Fault("rival", first, 2, one.text)
                yield Schedule("rival", (lost, changed))


def _concerns(event: Event, rival: Rival) -> bool:
    if event["kind"] == "effect":
        return True
    is_write = event["kind"] == "sql" and event["verb"] in _WRITES
    return is_write and event["table"] == rival.row.table.name.lower()
