"""An effect that failed, and a job that ends as if it had not, where no promise says how it ends.

The promises of failures, retry and dead_letter say that. Of a draft nobody has made them, and a
spec may do without retry and dead letter: what is left is that the effect never took place while
everything says that it did.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, count_new_letters, is_success

_FAMILIES = ("error", "exhaustion", "permanent")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names at most one risk: of an effect that failed in a job that ends as one that is done.
    Refutes that of an outcome, which the spec says is recorded.
    """
    if any(is_success(reference, fault) for fault in history.schedule.faults):
        yield from _judge_outcome(history, reference)
        return
    is_asked = history.schedule.family in _list_asked_families(reference)
    # A later tick looks for what is left by itself.
    if not is_asked or reference.facts.ticks or history.pending or not history.runs:
        return
    is_last_done = history.runs[-1].outcome == "succeeded"
    if not is_last_done or not _leaves_what_success_leaves(history, reference):
        return
    for fault in history.schedule.faults:
        name = fault.at.removeprefix("before:").partition("#")[0]
        is_failure = fault.do == "raise" and fault.at.startswith("before:")
        if not is_failure or is_success(reference, fault) or not _was_met(history, name):
            continue
        if len(history.performed(name)) < len(reference.calls(name)):
            yield name_risk(
                "effect-swallowed",
                RiskGrade.LOST,
                f"{name} failed and never took place, and the job ends as one that is done",
                effect=name,
                expected="an error, another attempt, or a record",
                seen="success",
            )
            return


def _judge_outcome(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that the answer by which an effect says that it never takes place is recorded: the
    state is another one than after the effect.
    """
    if history.pending or not _leaves_what_success_leaves(history, reference):
        return
    for fault in history.schedule.faults:
        name = fault.at.removeprefix("before:").partition("#")[0]
        if not fault.at.startswith("before:") or not _was_met(history, name):
            continue
        if len(history.performed(name)) < len(reference.calls(name)):
            yield Judgement(
                Verdict.REFUTED,
                "effect.lost",
                f"{name} never took place, and what is left says that it did",
                name,
                expected=f"the outcome of {fault.error} in what proof.state asks for",
                seen="the same as after success",
            )
            return


def _list_asked_families(reference: Reference) -> tuple[str, ...]:
    """The families in which no promise of the spec says how the job ends."""
    if reference.unpromised:
        return _FAMILIES
    # An error that passes, in a job that is tried once and leaves no record.
    is_dropped = reference.max_attempts == 1 and not reference.has_dead_letter
    return ("error",) if is_dropped else ()


def _leaves_what_success_leaves(history: History, reference: Reference) -> bool:
    """Whether nothing shows that something is missing: there is no dead letter more than after the
    single run, and the state is the same.
    """
    if count_new_letters(history, reference) > 0 or history.kept != reference.once.kept:
        return False
    return _is_same_state(history, reference)


def _is_same_state(history: History, reference: Reference) -> bool:
    """Whether the state queries answer as after the single run."""
    for name, rows in reference.once.state.items():
        if name not in reference.volatile and history.state.get(name) != rows:
            return False
    return True


def _was_met(history: History, effect: str) -> bool:
    """Whether an error was thrown into the job in the place of a call of the effect."""
    for event in history.all("fault"):
        if event["do"] == "raise" and str(event["at"]).startswith(f"before:{effect}#"):
            return True
    return False
