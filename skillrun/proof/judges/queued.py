"""Two distinct jobs were published before one was delivered, or at once: both are done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from skillrun.proof.history import History, find_keys
from skillrun.proof.reference import INCOMPLETE, REFUTED, Judgement, Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """A job of which no message came to the handler, and whose work nobody else did. What becomes
    of messages that do come is judged where two jobs are delivered one after the other.
    """
    if history.hung or history.pending:
        return
    singles = {0: reference.once, **reference.called}
    unknown = [job for job in history.schedule.called if job not in singles]
    if unknown:
        said = f"the application's own call does not publish job {unknown[0]} by itself"
        yield Judgement(INCOMPLETE, "publish.not-called", said)
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
            f"{_name(reference, history, job)} is never delivered where"
            f" {_name(reference, history, other)} {_tell_other(history)}: the two are distinct jobs"
        )
        effect = undone if undone in {one.name for one in reference.effects} else None
        yield Judgement(
            REFUTED, "publish.dropped", said, effect, (), "a message for each job", undone
        )
        return


def _tell_other(history: History) -> str:
    return "is published at the same moment" if history.schedule.faults else "waits in the queue"


def _find_undone_effect(history: History, reference: Reference) -> str | None:
    """An effect that took place less often than for both jobs by themselves."""
    singles = [reference.once]
    singles += [reference.called[job] for job in history.schedule.called if job]
    for effect in reference.effects:
        wanted = [call for single in singles for call in single.performed(effect.name)]
        seen = history.performed(effect.name)
        # One call with one key for both of them is judged as a key of two jobs.
        most = min(len(wanted), len(find_keys(wanted) - {None}) or len(wanted))
        if len(seen) < most:
            return effect.name
    return None


def _find_undone_state(history: History, reference: Reference, alone: History) -> str | None:
    """A query that lacks rows which the job by itself leaves, where it has no effect that tells."""
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
    return Counter(map(repr, rows)) if isinstance(rows, (list, tuple)) else Counter()


def _name(reference: Reference, history: History, job: int) -> str:
    """A job by its payload."""
    if job == 0:
        payload = reference.payload
        if payload is None:
            payload = reference.spec.examples[0]
        return str(payload)
    single = reference.called[job]
    return str({**single.payloads, **history.payloads}.get(job, f"job {job}"))
