"""Whether the sweeps end a job whose process died in its last attempt, and whose message was lost:
attempts that are used up are a state in which a sweep finds it, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.history import Delivery, History, is_loud
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.dead_letters import may_be_lost_by_death
from skillrun.proof.reference import Reference, count_new_letters, ends_as


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Refutes where the job is neither done nor in the dead letters, and nothing loud is said of
    it after the death.
    """
    died = _find_death(history)
    if died is None or history.hung or history.pending or history.dead_letters is None:
        return
    if count_new_letters(history, reference) > 0 or history.kept > 0:
        return
    if _is_done(history, reference):
        return
    if may_be_lost_by_death(history, reference) or _is_told_after(history, died):
        return
    yield Judgement(
        Verdict.REFUTED,
        "dead-letter.missing",
        "its process died in the last attempt, and the message was lost: no sweep brings the job"
        " back, and it is neither done nor in the dead letters",
        expected="a dead letter, or the job is done",
        seen="neither",
    )


def _find_death(history: History) -> Delivery | None:
    """The delivery that died after the errors of all others were met; None where it came to
    another end before.
    """
    met = len(history.all("fault"))
    died = [run for run in history.runs if run.died]
    if len(died) != 1 or met != len(history.schedule.faults):
        return None
    return died[0]


def _is_done(history: History, reference: Reference) -> bool:
    """Whether all effects took place, or the state is that of the single run."""
    wanted = {call["effect"] for call in reference.once.performed()}
    done = {call["effect"] for call in history.performed()}
    if wanted and wanted <= done:
        return True
    return ends_as(history, reference.once, reference)


def _is_told_after(history: History, died: Delivery) -> bool:
    """Whether a record of level WARNING or above comes after a death."""
    later = [one for one in history.deliveries if one.number > died.number]
    return any(is_loud(event) for delivery in later for event in delivery.events)
