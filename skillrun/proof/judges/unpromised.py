"""What a draft says of tries, waits, dead letters and logs was read in the code: nobody has
promised it. A job that does otherwise shows a risk at the most, and perhaps a misreading of ours.

Effects that take place twice, state that another delivery changes, jobs that get lost although
their library keeps them until they are done, and tries that never end need no promise to be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.one_writer import is_locked_out
from skillrun.proof.judges.risks import name_risk, set_aside
from skillrun.proof.reference import Reference

PROMISES = frozenset({"attempts", "delays", "dead_letter", "logs"})
"""Promises, as `proof.promises` names them, that a draft cannot make: somebody must agree to them."""

UNKEYED = "a guess: it takes no key, and nobody has said what a second time costs"
"""The reason that a draft gives for `at_least_once`, where nobody has given one."""

_ENDLESS = "attempts.unbounded"
_ANOTHER_DAY = "a message without a field names no work, and later there may be other work"
_LOCKED_OUT = "SQLite refused one of two writers, and another database would have had it wait"
# Rules by which a judge refutes where nobody goes on with a job.
UNDONE = ("state.differs", "effect.lost")
# The same where it is another delivery that turned away: see `is_turned_away`.
LEFT = (*UNDONE, "state.error-swallowed")
_SERVER_CLOCK = "clock.server"
# Promise -> how its rules begin, the risk that stands in their place, and its grade.
_IN_PLACE = {
    "attempts": ("attempts.", "not-as-read", RiskGrade.MINOR),
    "delays": ("delays.", "not-as-read", RiskGrade.MINOR),
    "dead_letter": ("dead-letter.", "not-as-read", RiskGrade.BLIND),
    "logs": ("logs.", "logs-silent", RiskGrade.BLIND),
}


def release_unpromised(
    found: Iterable[Judgement], history: History, reference: Reference
) -> list[Judgement]:
    """What was found, with risks in the place of refutations of what nobody has promised."""
    if not reference.unpromised:
        return list(found)
    unpromised = reference.unpromised
    if _rests_on_guessed_error(history, reference):
        unpromised |= {"dead_letter"}
    is_taken_along = _is_taken_along(history, reference)
    met_bad_status = _met_nothing_but_bad_status(history)
    was_locked_out = is_locked_out(history)
    kept = []
    for judgement in found:
        judgement = _look_a_day_later(judgement, reference)
        risk = _find_risk(judgement.rule, unpromised)
        if is_taken_along and judgement.rule in UNDONE:
            risk = "death-loses", RiskGrade.LOST
        if met_bad_status and judgement.rule == "effect.lost":
            # As an error that is swallowed: which answers count as failures is a contract.
            risk = "effect-swallowed", RiskGrade.LOST
        if risk is not None and judgement.verdict == Verdict.REFUTED:
            judgement = _name_in_place(judgement, *risk)
        elif was_locked_out and judgement.verdict in (Verdict.REFUTED, Verdict.INCOMPLETE):
            judgement = set_aside(judgement, _LOCKED_OUT)
        elif judgement.rule == "state.differs" and _is_another_day(history, reference):
            judgement = set_aside(judgement, _ANOTHER_DAY)
        kept.append(judgement)
    return kept


def _rests_on_guessed_error(history: History, reference: Reference) -> bool:
    """Whether every error that was thrown into the job is one that nobody has called permanent, and
    the job counts as done after it: "already refunded" says that there is nothing left to do. A job
    that fails of it is not done, whatever the error means.
    """
    if not history.runs or history.runs[-1].outcome != "succeeded":
        return False
    errors = {fault.error for fault in history.schedule.faults if fault.do == "raise"}
    return bool(errors) and errors <= reference.guessed_errors


def _met_nothing_but_bad_status(history: History) -> bool:
    """Whether all that happened to the job is that a receiver answered with a status of failure."""
    faults = history.all("fault")
    if not faults or any(run.died for run in history.runs):
        return False
    return all(event["status"] for event in faults)


def _is_another_day(history: History, reference: Reference) -> bool:
    """Whether a message may have found other work than the first one, since it came later and has
    no field that names a piece of work.
    """
    has_waited = any(move.startswith("wait=") for move in history.schedule.moves)
    return has_waited and reference.spec.examples[0] == {}


def _is_taken_along(history: History, reference: Reference) -> bool:
    """Whether a death was the end of the job, by a library that is set to acknowledge a message
    before the job is done: that is its setting, and what it costs is told as a risk.
    """
    if reference.facts.acks_late is not False or history.pending or not history.runs:
        return False
    return history.runs[-1].died


def is_turned_away(history: History) -> bool:
    """Whether the last delivery met no fault, and found the job as an earlier one left it that had
    met one. A delivery that meets an error itself, and counts as done, has swallowed it.
    """
    if not history.runs or _was_disturbed(history.runs[-1]):
        return False
    return any(map(_was_disturbed, history.runs[:-1]))


def _was_disturbed(run: Delivery) -> bool:
    """Whether a delivery died or met a fault."""
    return run.died or run.first("fault") is not None


def _look_a_day_later(judgement: Judgement, reference: Reference) -> Judgement:
    """A refutation of work that is missing, made milder where another message does that work a day
    later: the claim that an earlier delivery left may run out, and a draft knows neither when nor
    who looks for such jobs.
    """
    later = reference.next_day
    if later is None or judgement.verdict != Verdict.REFUTED or judgement.rule not in LEFT:
        return judgement
    for other in later:
        is_same = (other.rule, other.effect) == (judgement.rule, judgement.effect)
        if other.verdict == Verdict.REFUTED and is_same:
            return _leave_to_sweepers(judgement, reference)
    for other in later:
        if other.verdict == Verdict.INCOMPLETE:
            if other.rule != _SERVER_CLOCK:
                return judgement
            # The server's clock did not move: nobody knows what it would have found.
            return other
    said = f"{judgement.message} before a day has passed"
    return _name_in_place(replace(judgement, message=said), "claim-outlives", RiskGrade.LOST)


def _leave_to_sweepers(judgement: Judgement, reference: Reference) -> Judgement:
    """A refutation of work that is still missing a day later, made incomplete where something that
    a clock starts may set such a row back: a draft has not been told of it, and has not tried it.
    """
    if not reference.sweepers:
        return judgement
    names = ", ".join(reference.sweepers)
    said = f"{judgement.message}, unless {names} finds it: that was not tried"
    return Judgement(Verdict.INCOMPLETE, "sweep.untried", said, judgement.effect, judgement.events)


def merge_questions(found: Iterable[Judgement]) -> Judgement:
    """The questions that the logs leave open, as one risk."""
    first, *others = found
    asked = [first.message]
    for judgement in others:
        asked.append(judgement.message.rpartition(": ")[2])
    return _name_in_place(replace(first, message=" ".join(asked)), "logs-silent", RiskGrade.BLIND)


def _find_risk(rule: str, unpromised: frozenset[str]) -> tuple[str, RiskGrade] | None:
    """(name, grade) of the risk that stands in the place of a refutation; None where it needs no
    promise to be one.
    """
    if rule == _ENDLESS:
        return None
    for promise, (start, risk, grade) in _IN_PLACE.items():
        if promise in unpromised and rule.startswith(start):
            return risk, grade
    return None


def _name_in_place(judgement: Judgement, risk: str, grade: RiskGrade) -> Judgement:
    """The risk that stands in the place of a refutation, and says the same."""
    return name_risk(
        risk,
        grade,
        judgement.message,
        effect=judgement.effect,
        events=judgement.events,
        expected=judgement.expected,
        seen=judgement.seen,
    )
