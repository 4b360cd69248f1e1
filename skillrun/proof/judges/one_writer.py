"""What SQLite alone refuses: it has one writer, and a server would have had the other one wait.

Where the application speaks to a server, a proof on SQLite has not tried two at once. Where SQLite
is its own database, the refusal is what it will meet.
"""

from __future__ import annotations

from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference

_LOCKED = "database is locked"


def is_locked_out(history: History) -> bool:
    """Whether SQLite let one of two processes fail, and not the proof."""
    if any(fault.do == "fail" for fault in history.schedule.faults):
        return False
    for delivery in history.deliveries:
        for event in delivery.all("raised"):
            if _LOCKED in str(event["text"]):
                return True
    return False


def say_not_tried(history: History, reference: Reference) -> Judgement | None:
    """What stands in the place of everything that a history holds against the handler, where SQLite
    refused a second writer and the application has a server; None where it is no such history.
    """
    if not reference.server or not is_locked_out(history):
        return None
    said = (
        f"SQLite refused one of two writers, where {reference.server}, which the repository asks"
        " for, would have had it wait: what comes of that was not tried"
    )
    return Judgement(Verdict.INCOMPLETE, "store.one-writer", said)


def drop_unlisted_lock(found: list[Judgement]) -> list[Judgement]:
    """What was found, without the error that SQLite alone raises."""
    kept = []
    for judgement in found:
        if judgement.rule != "failures.unlisted" or _LOCKED not in judgement.message:
            kept.append(judgement)
    return kept
