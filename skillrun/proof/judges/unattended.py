"""What nothing that the repository starts attends to: a queue, a time that comes, a sweep. A proof
does each of them by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.waits import list_queued_delays
from skillrun.proof.reference import Reference
from skillrun.proof.ticks import has_clock, is_published_by_clock


def name_queue(message: Mapping[str, Any]) -> str:
    """The queue of a published message; "" where its driver does not tell it."""
    return str(message.get("queue") or message.get("queue_name") or "")


def judge_queues(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the application's own message, or what a failed attempt publishes for the
    next one, goes to a queue that no worker takes jobs from.

    A proof delivers each by hand: who takes it is read from the command lines of the workers.
    """
    consumed = reference.facts.consumed
    if not consumed:
        return
    if history.schedule.family == "once" and _is_untaken(reference.queue, consumed):
        yield _name_unconsumed("the application publishes the job", reference.queue, consumed)
    elif history.schedule.family == "error":
        for run in history.runs:
            for retry in run.retries:
                queue = name_queue(retry["message"] or {})
                if _is_untaken(queue, consumed) and queue != reference.queue:
                    yield _name_unconsumed(
                        "an attempt that failed publishes the next one", queue, consumed
                    )
                    return


def judge_timers(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the job comes later, and the repository's command lines start its workers
    and nothing that brings what is due.
    """
    facts = reference.facts
    if facts.has_timer is not False:
        return
    if history.schedule.family == "once" and "schedule" in facts.timed:
        comes_by_ticks = facts.ticks and has_clock(reference.spec)
        if comes_by_ticks or is_published_by_clock(reference.spec):
            yield _name_timer("the job is published by a schedule", "schedule")
    elif history.schedule.family == "error" and "delay" in facts.timed:
        for run in history.runs:
            if max(list_queued_delays(run), default=0.0) > 0:
                yield _name_timer("an attempt that failed waits for the next one", "wait")
                return


def judge_sweeps(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where nothing calls the sweep that is to bring a lost job back."""
    if history.schedule.family == "once":
        for call in reference.uncalled[:1]:
            yield name_risk(
                "sweep-uncalled",
                RiskGrade.LOST,
                f"nothing that the repository starts calls {call}, which is to bring back what was not"
                " done",
                expected="a schedule, a command or code that calls it",
                seen="none",
            )


def _name_timer(what: str, seen: str) -> Judgement:
    """The risk that nobody brings what is due later. `what` comes later, by a `seen`."""
    return name_risk(
        "never-due",
        RiskGrade.LOST,
        f"{what}, and none of the workers that the repository starts brings it when it is due",
        expected="a process that brings it",
        seen=f"a {seen}",
    )


def _is_untaken(queue: str, consumed: tuple[str, ...]) -> bool:
    """Whether a queue is known, and not among those that workers take jobs from."""
    return bool(queue) and queue not in consumed


def _name_unconsumed(what: str, queue: str, consumed: tuple[str, ...]) -> Judgement:
    """The risk that nobody takes a message. `what` publishes it; `consumed`: the queues that are
    taken from.
    """
    taken = ", ".join(consumed)
    return name_risk(
        "queue-unconsumed",
        RiskGrade.LOST,
        f"{what} to the queue {queue}, and the workers that the repository starts take jobs from"
        f" {taken} alone",
        expected=f"one of: {taken}",
        seen=queue,
    )
