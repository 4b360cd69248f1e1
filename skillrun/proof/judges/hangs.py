"""Whether anything ends the wait for a receiver that never answers, a time-out at the call or a
limit on the task, and whether the job is tried again then.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, is_kept


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where a real call waits for ever, or its time-out ends the job at once. A call
    that could not be made in a proof shows neither.
    """
    if history.schedule.faults[0].do == "cut":
        yield from _judge_limit(history, reference)
        return
    stuck = history.all("stuck")
    # "before:email#1" -> "email"
    name = str(history.schedule.faults[0].at).partition(":")[2].rpartition("#")[0]
    if stuck:
        is_ended = reference.facts.ends_stuck and not history.all("unlimited")
        if not is_ended:
            yield name_risk(
                "effect-hangs",
                RiskGrade.STUCK,
                f"where its receiver does not answer, {name} waits for ever, and holds the worker",
                effect=name,
                events=tuple(event.number for event in stuck),
                expected="a time-out at the call, or a time limit of the task",
                seen="neither",
            )
        return
    has_attempts = (reference.max_attempts or 1) > 1
    if has_attempts and len(history.runs) == 1 and history.runs[0].outcome == "failed":
        yield name_risk(
            "effect-hangs",
            RiskGrade.STUCK,
            f"a time-out of {name} ends the job at once: it does not count as transient",
            effect=name,
            expected=f"{reference.max_attempts} attempts",
            seen="1 attempt",
        )


def _judge_limit(history: History, reference: Reference) -> Iterator[Judgement]:
    """The task's time limit was over while an effect was waited for: that passes, as a time-out at
    the call does.
    """
    name = str(history.schedule.faults[0].at).partition(":")[2].rpartition("#")[0]
    is_over = len(history.runs) == 1 and not history.pending and not history.hung
    is_done = len(history.performed(name)) >= len(reference.calls(name))
    if not is_over or is_done or (reference.max_attempts or 1) < 2:
        return
    if reference.spec.recovers and not is_kept(history, reference):
        return  # a sweep may find it
    yield name_risk(
        "effect-hangs",
        RiskGrade.STUCK,
        f"the time limit of the task ends the job at once, while it waits for {name}: it does not"
        " count as transient",
        effect=name,
        expected=f"{reference.max_attempts} attempts",
        seen="1 attempt",
    )
