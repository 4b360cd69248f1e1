"""Whether the sweeps end a job whose process died in its last attempt, and whose message was lost:
attempts that are used up are a state in which a sweep finds it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from skillrun.proof.history import Delivery, Event, History, is_loud
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.dead_letters import may_be_lost_by_death
from skillrun.proof.judges.records import Records, make_template
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
    if may_be_lost_by_death(history, reference) or _is_told_after(history, died, reference):
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
    """Whether all effects took place. Of a job that has none, whether the state is that of the
    single run: where no state is compared, that shows nothing.
    """
    wanted = {call["effect"] for call in reference.once.performed()}
    if wanted:
        return wanted <= {call["effect"] for call in history.performed()}
    is_compared = bool(history.state.keys() - reference.volatile)
    return is_compared and ends_as(history, reference.once, reference)


def _is_told_after(history: History, died: Delivery, reference: Reference) -> bool:
    """Whether a record of level WARNING or above comes after a death and is about this job: it
    names it, or the sweeps do not write it where the job is done.
    """
    payload = reference.payload
    if payload is None and reference.spec.examples:
        payload = reference.spec.examples[0]
    records = Records.read((), reference, {0: payload})
    fields = records.key_fields(0)
    # What the sweep's record has no name for, an earlier record of the job may have.
    whole = replace(died, job=0, events=tuple(history.events))

    def is_about_job(event: Event) -> bool:
        usual = reference.said_by_sweeps
        if usual is not None and make_template(event) not in usual:
            return True
        return bool(fields) and records.tells_job(event, whole, fields)

    later = [one for one in history.deliveries if one.number > died.number]
    loud = [event for delivery in later for event in delivery.events if is_loud(event)]
    return any(map(is_about_job, loud))
