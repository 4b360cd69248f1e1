"""Two distinct jobs were published before one was delivered, or at once: both are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from skillrun.proof.history import Event, History, find_keys
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Refutes where one of the two jobs has no message that comes to the handler, and nobody else
    does its work. What becomes of messages that do come is judged where two jobs are delivered one
    after the other.
    """
    if history.hung or history.pending:
        return
    singles = {0: reference.once, **reference.called}
    unknown = [job for job in history.schedule.called if job not in singles]
    if unknown:
        said = f"the application's own call does not publish job {unknown[0]} by itself"
        yield Judgement(Verdict.INCOMPLETE, "publish.not-called", said)
        return
    for job in history.schedule.called:
        if history.runs_of(job):
            continue
        alone = singles[job]
        undone = _find_undone_effect(history, reference) or _find_undone_state(
            history, reference, alone
        )
        if undone is None:
            continue
        other = next(one for one in history.schedule.called if one != job)
        said = (
            f"{_show_job(reference, history, job)} is never delivered where"
            f" {_show_job(reference, history, other)} {_tell_other(history)}: the two are distinct jobs"
        )
        effect = None
        if undone in {one.name for one in reference.effects}:
            effect = undone
        yield Judgement(
            Verdict.REFUTED, "publish.dropped", said, effect, (), "a message for each job", undone
        )
        return


def _tell_other(history: History) -> str:
    """Where the other job is, as a message says it."""
    if history.schedule.faults:
        return "is published at the same moment"
    return "waits in the queue"


def _find_undone_effect(history: History, reference: Reference) -> str | None:
    """The name of an effect that took place less often than for both jobs by themselves; None where
    there is none.
    """
    singles = [reference.once]
    singles += [reference.called[job] for job in history.schedule.called if job]
    for effect in reference.effects:
        wanted: list[Event] = []
        for single in singles:
            wanted += single.performed(effect.name)
        keys = find_keys(wanted) - {None}
        most = len(wanted)
        if keys:
            # One call with one key for both of them is judged as a key of two jobs.
            most = min(most, len(keys))
        if len(history.performed(effect.name)) < most:
            return effect.name
    return None


def _find_undone_state(history: History, reference: Reference, alone: History) -> str | None:
    """The name of a state query that lacks rows which the job by itself leaves; None where there is
    none, or where effects tell whether the job was done.
    """
    if any(alone.performed(effect.name) for effect in reference.effects):
        return None
    for name, rows in alone.state.items():
        if name in reference.volatile | reference.letters:
            continue
        left = _count_rows(rows) - _count_rows(reference.before.get(name))
        if left - _count_rows(history.state.get(name)):
            return name
    return None


def _count_rows(rows: Any) -> Counter[str]:
    """How often an answer has which row; none where the query could not be answered."""
    if not isinstance(rows, (list, tuple)):
        return Counter()
    return Counter(map(repr, rows))


def _show_job(reference: Reference, history: History, job: int) -> str:
    """What a message calls a job: its payload, or its number where that is not known."""
    if job == 0:
        payload = reference.payload
        if payload is None:
            payload = reference.spec.examples[0]
        return str(payload)
    payloads = {**reference.called[job].payloads, **history.payloads}
    return str(payloads.get(job, f"job {job}"))
