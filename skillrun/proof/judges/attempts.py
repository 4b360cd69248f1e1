"""How often a job is tried: whether it ends at all, and after as many attempts as the spec
declares.

`judge` asks in this order:
1. Does a message end that kills its worker each time? It meets nothing else, and nothing else is
   asked of it.
2. Does the job end? One that is still waiting has no last attempt and no dead letter to judge.
3. Was it tried as often as its error asks for: not again after success, once where trying again
   cannot help, as often as declared where the error may pass? Only where that number is right are
   the waits between the attempts compared (`waits.py`).
4. Did a death take attempts from it that it had left?
5. Did it leave the dead letters that its end asks for (`dead_letters.py`)?
The last two are asked whatever the third one says: each of them names a bug of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import RiskGrade
from skillrun.proof import ticks
from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import dead_letters
from skillrun.proof.judges.met_errors import count_attempts, find_injected_errors
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.waits import judge_waits
from skillrun.proof.reference import (
    Reference,
    count_new_letters,
    gives_up,
    is_kept,
    is_outage,
    is_permanent,
    is_success,
)

if TYPE_CHECKING:
    from skillrun.proof.schedule import Fault, Schedule

# Families whose deliveries are not all attempts at the job that meets the error.
_OF_SEVERAL_DELIVERIES = ("late-error", "distinct", "after-failure")

# Deaths of one message that are more than an accident.
_LOOP_OF_DEATHS = 2


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job ends, after as many attempts and with as many dead letters as the spec
    declares.
    """
    dies_each_time = history.schedule.dies_each_time
    if dies_each_time and reference.max_deliveries is not None:
        yield from _judge_deaths(history, reference, reference.max_deliveries)
        return
    if history.pending and not history.hung and not dies_each_time:
        yield _refute_endless_job(history, reference)
        return
    yield from _judge_attempts(history, reference)
    yield from _judge_untried_after_death(history, reference)
    yield from dead_letters.judge(history, reference)


# -- Does it end? --


def _judge_deaths(history: History, reference: Reference, most: int) -> Iterator[Judgement]:
    """Checks that a message that kills its worker each time ends after `most` deliveries, with a
    dead letter.
    """
    deaths = sum(run.died for run in history.runs)
    if history.pending or deaths > most:
        seen = f"{deaths}"
        if history.pending:
            seen = f"{deaths}+"
        said = f"a message that kills its worker each time is delivered {seen} times"
        yield Judgement(Verdict.REFUTED, "attempts.deaths", said, expected=f"{most}", seen=seen)
        return
    if deaths < min(most, _LOOP_OF_DEATHS):
        return  # the library loses the message of a death: the schedules of single deaths say so
    if reference.has_dead_letter and not is_kept(history, reference):
        said = "a message that kills its worker each time ends without a record"
        yield Judgement(Verdict.REFUTED, "dead-letter.missing", said, expected="1", seen="0")


def _refute_endless_job(history: History, reference: Reference) -> Judgement:
    """The refutation of a job that still waits when the proof stops delivering it."""
    expected = "an end"
    if reference.max_attempts:
        expected = f"at most {_format_attempts(reference.max_attempts)}"
    tried = len(history.runs)
    said = f"after {tried} deliveries the job is still waiting: nothing bounds it"
    return Judgement(
        Verdict.REFUTED, "attempts.unbounded", said, expected=expected, seen=f"{tried}+"
    )


def _format_attempts(number: int) -> str:
    """A number of attempts as a message says it: "1 attempt", "3 attempts"."""
    if number == 1:
        return "1 attempt"
    return f"{number} attempts"


# -- Is it tried as often as its error asks for? --


def _judge_attempts(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks how often a job is tried that meets an injected error, or whose message is poison."""
    schedule = history.schedule
    if schedule.has_crash:
        # A death besides the error explains any number of attempts: only their bound is asked.
        yield from _judge_attempts_with_death(history, reference)
        return
    if is_outage(schedule) or schedule.family in _OF_SEVERAL_DELIVERIES:
        return
    if schedule.family == "poison":
        yield from _judge_attempts_at_poison(history, reference)
        yield from _judge_effects_of_poison(history, reference)
        return
    error = _find_first_error(schedule)
    if error is not None and is_success(reference, error):
        yield from _judge_end_of_success(history, reference, error)
    elif error is not None and is_permanent(reference, error):
        yield from _judge_single_attempt(history, reference, f"the permanent error {error.error}")
    elif schedule.family == "exhaustion" or gives_up(history, reference):
        yield from _judge_transient_error(history, reference)


def _find_first_error(schedule: Schedule) -> Fault | None:
    """The first fault of a schedule that names an error; None where no fault does."""
    for fault in schedule.faults:
        if fault.error:
            return fault
    return None


def _judge_attempts_with_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that deaths beside a transient error add no more attempts than they explain.

    A death explains one attempt more. Where it follows the publish of a retry, the retry and the
    message that comes back each go on by themselves, unless the handler counts: that is a risk.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "exhaustion" or most is None or reference.is_batch:
        return
    seen = count_attempts(history, reference)
    explained = most + schedule.kills
    most_by_themselves = most * (schedule.kills + 1)
    if seen > most_by_themselves:
        said = f"a transient error was tried {seen} times, with {schedule.kills} death"
        yield Judgement(
            Verdict.REFUTED, "attempts.too-many", said, expected=f"{explained}", seen=f"{seen}"
        )
    elif seen > explained:
        said = f"after a death the job is tried {seen} times instead of {most}"
        yield name_risk(
            "attempts-doubled", RiskGrade.MINOR, said, expected=f"{explained}", seen=f"{seen}"
        )


def _judge_attempts_at_poison(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a message that nobody can do ends: at once where its error is declared permanent,
    else after the declared attempts.
    """
    raised = history.list_of_runs("raised")
    if any(reference.is_listed(event, "permanent") for event in raised):
        yield from _judge_single_attempt(history, reference, "a poison message")
        return
    most, seen = reference.max_attempts, len(_list_attempts(history, reference))
    if most is not None and seen > most:
        said = f"a poison message was tried {seen} times"
        yield Judgement(
            Verdict.REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}"
        )
    elif seen > 1:
        said = f"a poison message is tried {seen} times before it ends: trying again cannot help it"
        yield Judgement(Verdict.HINT, "attempts.poison-retried", said, expected="1", seen=f"{seen}")


def _judge_effects_of_poison(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a poison message is refused before anything happens in the world."""
    calls = history.performed()
    if reference.is_batch and len(calls) < len(reference.once.performed()):
        return  # what stands beside the poison is done
    if not calls:
        return
    first = calls[0]
    yield Judgement(
        Verdict.REFUTED,
        "poison.effect",
        f"a poison message reached {first['effect']}",
        effect=first["effect"],
        events=(first.number,),
        expected="no effect",
        seen=first["args"],
    )


def _judge_end_of_success(
    history: History, reference: Reference, fault: Fault
) -> Iterator[Judgement]:
    """Checks that an error that means success ends the job as success does: it is not tried again,
    and nobody is told that it failed.
    """
    if not find_injected_errors(history):
        return
    ends = [run.outcome for run in history.runs if not ticks.is_idle(run)]
    if "retried" in ends:
        yield Judgement(
            Verdict.REFUTED,
            "attempts.success-retried",
            f"{fault.error} means success, and the job is tried again",
            expected="1",
            seen=f"{len(ends)}",
        )
    elif "failed" in ends or count_new_letters(history, reference) > 0:
        yield Judgement(
            Verdict.REFUTED,
            "attempts.success-failed",
            f"{fault.error} means success, and the job ends as failed",
            expected="success",
            seen=", ".join(ends),
        )


def _judge_single_attempt(history: History, reference: Reference, what: str) -> Iterator[Judgement]:
    """Checks that what cannot succeed is tried once. `what` names it in the message."""
    tried = 0
    if find_injected_errors(history):
        tried = count_attempts(history, reference)
    # In a batch the other deliveries may have been for other pieces of work.
    if not (tried and reference.is_batch):
        tried = max(tried, len(_list_attempts(history, reference)))
    if tried > 1:
        said = f"{what} was tried {tried} times: trying again cannot help"
        yield Judgement(
            Verdict.REFUTED, "attempts.permanent-retried", said, expected="1", seen=f"{tried}"
        )


def _list_attempts(history: History, reference: Reference) -> list[Delivery]:
    """The deliveries to the handler. A poller's ticks that find nothing are no attempts."""
    if not ticks.is_polled(reference.spec, reference.facts):
        return list(history.runs)
    return [run for run in history.runs if not ticks.is_idle(run)]


def _judge_transient_error(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that an error that does not pass is tried as often as declared, with the declared
    waits.
    """
    most, seen = reference.max_attempts, count_attempts(history, reference)
    if most is None or seen == most:
        yield from judge_waits(history, reference)
        return
    if seen > most:
        said = f"a transient error was tried {seen} times"
        yield Judgement(
            Verdict.REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}"
        )
        return
    if dead_letters.is_outcome_unknown(history, reference) and is_kept(history, reference):
        return
    last = "nothing"
    if history.runs:
        last = history.runs[-1].outcome
    said = f"a transient error was given up after {_format_attempts(seen)} (the last one {last})"
    yield Judgement(Verdict.REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{seen}")


# -- Does a death take attempts from it? --


def _judge_untried_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks, where the library counts a death as an attempt, that a job with attempts left runs
    again before it is given up.
    """
    schedule, most = history.schedule, reference.max_attempts
    if most is None or not reference.facts.bounded_kills:
        return
    if dead_letters.may_be_lost_by_death(history, reference):
        return
    if schedule.family not in ("kill", "double-kill") or not schedule.kills:
        return
    # A lost message does not come back, and an error may end the job by itself.
    if schedule.lose or _find_first_error(schedule) is not None:
        return
    tried = len(history.runs)
    if tried <= schedule.kills < most and is_kept(history, reference):
        said = f"a death at {schedule.faults[-1].at} gave the job up: no attempt followed"
        yield Judgement(
            Verdict.REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{tried}"
        )
