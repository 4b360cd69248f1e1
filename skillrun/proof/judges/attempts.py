"""Bounded attempts, growing delays, dead letters, and an end."""

from __future__ import annotations

import itertools
import math
import operator
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import RiskGrade
from skillrun.proof import ticks
from skillrun.proof.history import Delivery, Event, History, is_loud
from skillrun.proof.judges.effects import is_kept
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import (
    HINT,
    OF_PUBLISHER,
    OUTAGES,
    REFUTED,
    Judgement,
    Reference,
    gives_up,
    is_permanent,
    is_success,
    must_complete,
)

if TYPE_CHECKING:
    from skillrun.proof.schedule import Fault

# A delay is measured between two readings of a clock.
SLACK_S = 1.5

# The margins are wide: a wrong base or factor, which is what they are to find, changes a wait by
# half at the least.
LONGEST_SHARE = 1.05
SHORTEST_SHARE = 0.9
# The usual jitter draws from [wait / 2, wait]. The probe holds the functions of `random` at their
# longest, but not a generator of the handler's own, so half a wait may be chance. It has the same
# tenth of margin.
SHORTEST_SHARE_WITH_JITTER = 0.45
# Chance makes single waits short, not all of them. Waits that come to about half of the declared
# sum are those of another policy, jitter or not. One second is for policies of a few seconds.
SHORTEST_SHARE_OF_SUM = 0.6
SUM_SLACK_S = 1.0
# Delays that are declared to grow by less than this, from the first to the last, may look flat.
LEAST_GROWTH = 1.5
# With random waits held at their shortest, a wait this near to the declared one is not random.
UNMOVED_SHARE = 0.97

# Not every delivery of these is an attempt at the job that meets the error.
_OF_SEVERAL_DELIVERIES = ("late-error", "distinct", "after-failure")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Exhaustion, permanent errors and poison end as declared; everything ends."""
    if history.schedule.dies_each_time and reference.max_deliveries is not None:
        yield from _judge_deaths(history, reference, reference.max_deliveries)
        return
    if history.pending and not history.hung and not history.schedule.dies_each_time:
        said = f"after {len(history.runs)} deliveries the job is still waiting: nothing bounds it"
        yield Judgement(
            REFUTED,
            "attempts.unbounded",
            said,
            expected=_describe_bound(reference),
            seen=f"{len(history.runs)}+",
        )
        return
    yield from _judge_end_of_error(history, reference)
    yield from _not_tried_again(history, reference)
    yield from _given_up_by_a_death(history, reference)
    yield from _judge_dead_letters(history, reference)


def _judge_deaths(history: History, reference: Reference, most: int) -> Iterator[Judgement]:
    """A message that kills its worker each time ends after as many deliveries as declared."""
    deaths = sum(run.died for run in history.runs)
    if history.pending or deaths > most:
        seen = f"{deaths}+" if history.pending else f"{deaths}"
        said = f"a message that kills its worker each time is delivered {seen} times"
        yield Judgement(REFUTED, "attempts.deaths", said, expected=f"{most}", seen=seen)
    elif deaths and reference.has_dead_letter and not is_kept(history, reference):
        said = "a message that kills its worker each time ends without a record"
        yield Judgement(REFUTED, "dead-letter.missing", said, expected="1", seen="0")


def _judge_end_of_error(history: History, reference: Reference) -> Iterator[Judgement]:
    """How an injected error, or a poison message, ended. A death besides it explains any number
    of attempts, so such a schedule is not asked.
    """
    schedule = history.schedule
    if schedule.has_crash:
        yield from _judge_attempts_after_death(history, reference)
        return
    if schedule.family in OUTAGES or schedule.family in _OF_SEVERAL_DELIVERIES:
        return
    errors = [fault for fault in schedule.faults if fault.error]
    if schedule.family == "poison":
        yield from _judge_attempts_at_poison(history, reference)
        yield from _no_effect(history, reference)
    elif errors and is_success(reference, errors[0]):
        yield from _judge_end_of_success(history, reference, errors[0])
    elif errors and is_permanent(reference, errors[0]):
        yield from _one_attempt(history, reference, f"the permanent error {errors[0].error}")
    elif schedule.family == "exhaustion" or gives_up(history, reference):
        yield from _judge_exhaustion(history, reference)


def _judge_end_of_success(
    history: History, reference: Reference, fault: Fault
) -> Iterator[Judgement]:
    """An error that means success ends the job as success does: it is not tried again, and nobody
    is told that it failed.
    """
    if not faults_met(history):
        return
    said = f"{fault.error} means success"
    ends = [run.outcome for run in history.runs if not ticks.is_idle(run)]
    letters = (history.dead_letters or 0) - (reference.once.dead_letters or 0)
    if "retried" in ends:
        said = f"{said}, and the job is tried again"
        yield Judgement(
            REFUTED, "attempts.success-retried", said, expected="1", seen=f"{len(ends)}"
        )
    elif "failed" in ends or letters > 0:
        said = f"{said}, and the job ends as failed"
        yield Judgement(
            REFUTED, "attempts.success-failed", said, expected="success", seen=", ".join(ends)
        )


def _judge_attempts_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """A death explains one attempt more. Where it follows the publish of a retry, the retry and the
    message that comes back each go on by themselves, unless the handler counts.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "exhaustion" or most is None or reference.is_batch:
        return
    seen = count_attempts(history, reference)
    text: dict[str, Any] = {"expected": f"{most + schedule.kills}", "seen": f"{seen}"}
    if seen > most * (schedule.kills + 1):
        said = f"a transient error was tried {seen} times, with {schedule.kills} death"
        yield Judgement(REFUTED, "attempts.too-many", said, **text)
    elif seen > most + schedule.kills:
        said = f"after a death the job is tried {seen} times instead of {most}"
        yield name_risk("attempts-doubled", RiskGrade.MINOR, said, **text)


def _not_tried_again(history: History, reference: Reference) -> Iterator[Judgement]:
    """Where the library counts a death as an attempt, a job with attempts left runs again before it
    is given up.
    """
    schedule, most = history.schedule, reference.max_attempts
    if most is None or not reference.facts.bounded_kills:
        return
    if schedule.family not in ("kill", "double-kill") or not schedule.kills:
        return
    # A lost message does not come back, and an error may end the job by itself.
    if schedule.lose or any(fault.error for fault in schedule.faults):
        return
    if len(history.runs) <= schedule.kills < most and is_kept(history, reference):
        said = f"a death at {schedule.faults[-1].at} gave the job up: no attempt followed"
        yield Judgement(
            REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{len(history.runs)}"
        )


def _given_up_by_a_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """A death alone, with attempts left, may not end among the dead letters: what it left behind is
    in the way.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "kill" or schedule.lose or _may_vanish(reference):
        return
    if most is None or schedule.kills >= most:
        return
    after = [run for run in history.runs if not run.died]
    has_succeeded = any(run.outcome == "succeeded" for run in after)
    if after and not has_succeeded and is_kept(history, reference):
        said = f"after one death the job is tried {len(after)} times more, and then given up"
        yield Judgement(REFUTED, "dead-letter.after-death", said, expected="0", seen="1")


def _describe_bound(reference: Reference) -> str:
    most = reference.max_attempts
    if not most:
        return "an end"
    return f"at most {most} attempt{'s' * (most != 1)}"


def faults_met(history: History) -> tuple[Event, ...]:
    """The injected errors, in order."""
    return tuple(event for event in history.all("fault") if event["do"] == "raise")


def count_attempts(history: History, reference: Reference) -> int:
    """How often the job was tried: the injected errors, or the deliveries that met one where one
    delivery met many.
    """
    met = len(faults_met(history))
    if reference.is_batch:
        return met  # one piece of work meets them all
    calls = max((len(reference.calls(effect.name)) for effect in reference.effects), default=1)
    if calls <= 1:
        return met
    # Each of several calls may meet the error in one and the same attempt.
    return max(len(_find_hit_deliveries(history)), _most_of_one_call(history, reference))


def _find_hit_deliveries(history: History) -> list[Delivery]:
    """The deliveries that met an error."""
    return [delivery for delivery in history.runs if _has_met_error(delivery)]


def _has_met_error(delivery: Delivery) -> bool:
    return any(event["do"] == "raise" for event in delivery.all("fault"))


def _most_of_one_call(history: History, reference: Reference) -> int:
    """How often the same call, with the same arguments, was tried: a handler may try again by
    itself. Of one that a single run makes several times, each time is a try of its own.
    """
    once: Counter[tuple[str, str]] = Counter()
    for at in reference.once.all("at"):
        if at["when"] == "before":
            once[at["name"].rpartition("#")[0], str(at["args"])] += 1
    calls: Counter[tuple[str, str]] = Counter()
    for delivery in history.runs:
        for at, fault in itertools.pairwise(delivery.events):
            if fault.kind == "fault" and fault["do"] == "raise" and at.kind == "at":
                calls[at["name"].rpartition("#")[0], str(at["args"])] += 1
    most = 0
    for call, met in calls.items():
        most = max(most, math.ceil(met / max(once[call], 1)))
    return most


def _judge_exhaustion(history: History, reference: Reference) -> Iterator[Judgement]:
    """An error that does not pass is tried as often as declared, with the declared waits."""
    most, seen = reference.max_attempts, count_attempts(history, reference)
    if most is not None and seen > most:
        said = f"a transient error was tried {seen} times"
        yield Judgement(REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}")
    elif most is not None and seen < most:
        if _outcome_is_unknown(history, reference) and is_kept(history, reference):
            return
        last = history.runs[-1].outcome if history.runs else "nothing"
        said = (
            f"a transient error was given up after {seen} attempt{'s' * (seen != 1)} (the last one"
            f" {last})"
        )
        yield Judgement(REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{seen}")
    else:
        yield from _judge_delays(history, reference)


def measured_delays(history: History) -> tuple[float, ...]:
    """Seconds that the library, or the handler itself, waits before each further attempt."""
    found = []
    for delivery in history.runs:
        *between, last = _measure_sleeps(delivery)
        settled = delivery.settled
        queued = [float(event["delay"]) for event in delivery.retries]
        if settled is not None and settled["how"] == "requeued":
            queued.append(float(settled["delay"]))
        found += [*between, *(last + delay for delay in queued)]
    if not found:
        # Nobody waits for a poller's next tick: the time that passed between two is the delay.
        clocks = [delivery.clock for delivery in _find_hit_deliveries(history)]
        found = [later - first for first, later in itertools.pairwise(clocks)]
    return tuple(found)


def _is_timed_by_library(history: History) -> bool:
    """Whether a further attempt is due when the library, or the handler's own sleep, says so."""
    requeued = any(run.settled and run.settled["how"] == "requeued" for run in history.runs)
    slept = any(run.first("slept") for run in history.runs)
    return requeued or slept or any(run.retries for run in history.runs)


def _measure_sleeps(delivery: Delivery) -> list[float]:
    """Seconds between one error of a call and the next one of the same call, then those after the
    last.
    """
    found, call = [0.0], ""
    for before, event in itertools.pairwise(delivery.events):
        if event.kind == "slept" and call:
            found[-1] += float(event["s"])
        elif event.kind == "fault" and event["do"] == "raise":
            again = f"{before['name']}".rpartition("#")[0] + str(before["args"])
            if call == again or (call and found[-1]):
                found.append(0.0)
            call, found[-1] = again, 0.0
    return found


def _tick_s(history: History, reference: Reference) -> float:
    """What the ticks, or the sweeps, add to a delay."""
    if reference.spec.recovers and not _is_timed_by_library(history):
        # The job's own table says when it is due, and a sweep comes some time later.
        return math.inf
    if not ticks.is_polled(reference.spec, reference.facts):
        return 0.0
    return ticks.every(reference.spec)


def _judge_delays(history: History, reference: Reference) -> Iterator[Judgement]:
    """In the declared range, and growing where they are declared to grow. Measured with jitter at
    its highest.
    """
    retry = reference.spec.retry
    if retry is None or retry.kind == "none" or retry.backoff is None:
        return
    wanted, longest = retry.delays(), retry.delays(_read_spread(reference))
    own = _find_own_wait(history, reference)
    if own is not None:
        wanted = longest = (own,) * len(wanted)
    tick = _tick_s(history, reference)
    if history.schedule.low_jitter:
        if own is not None:
            return  # nobody says that this wait is random
        yield from _no_jitter(history, longest, tick)
        return
    not_waited = (0.0,) * len(wanted)
    seen = (measured_delays(history) + not_waited)[: len(wanted)]
    text: dict[str, Any] = {"expected": _format_seconds(wanted), "seen": _format_seconds(seen)}
    least = SHORTEST_SHARE_WITH_JITTER if retry.backoff.jitter else SHORTEST_SHARE
    if _is_too_long(seen, longest, tick):
        yield Judgement(REFUTED, "delays.too-long", "a retry waits longer than declared", **text)
    elif _is_too_short(seen, wanted, least):
        yield Judgement(REFUTED, "delays.too-short", "a retry waits shorter than declared", **text)
    elif _is_flat(seen, wanted, tick):
        yield Judgement(REFUTED, "delays.flat", "the delays do not grow", **text)


def _find_own_wait(history: History, reference: Reference) -> float | None:
    """What the job waits after the injected error in the place of the backoff; None where that
    holds.
    """
    failures = reference.spec.failures
    for fault in history.schedule.faults:
        same = [error for error in failures.listed if error.type == fault.error] if failures else []
        if fault.error and fault.index < len(same):
            return same[fault.index].wait
    return None


def _is_too_long(seen: tuple[float, ...], longest: tuple[float, ...], tick: float) -> bool:
    """A poller sees that a job is due up to one tick later."""
    bounds = [most * LONGEST_SHARE + SLACK_S + tick for most in longest]
    return any(map(operator.gt, seen, bounds))


def _is_too_short(seen: tuple[float, ...], wanted: tuple[float, ...], least: float) -> bool:
    """Any one of the waits, or all of them together."""
    bounds = [declared * least - SLACK_S for declared in wanted]
    if any(map(operator.lt, seen, bounds)):
        return True
    return sum(seen) < sum(wanted) * SHORTEST_SHARE_OF_SUM - SUM_SLACK_S


def _is_flat(seen: tuple[float, ...], wanted: tuple[float, ...], tick: float) -> bool:
    """The slack counts on both sides: what grows by less than it cannot be told from a constant."""
    if not wanted or wanted[-1] <= wanted[0] * LEAST_GROWTH + SLACK_S + tick:
        return False
    return seen[-1] <= seen[0] + SLACK_S / 2


def _read_spread(reference: Reference) -> float:
    """How many times as long as computed the library's own jitter may make a wait."""
    retry = reference.spec.retry
    if retry is None or retry.backoff is None or retry.backoff.kind != "exponential":
        return 1.0
    return reference.facts.spread


def _no_jitter(history: History, wanted: tuple[float, ...], tick: float) -> Iterator[Judgement]:
    """With random waits at their shortest, some delay is shorter than the longest; else nothing
    is random. The last one alone tells nothing: it may stand at its cap either way.
    """
    seen = measured_delays(history)
    if not seen or len(seen) != len(wanted):
        return
    # A wait of a few seconds, or of a few ticks, is the same with jitter and without: the readings
    # of the clock, or the ticks, hide what was random in it.
    pairs = zip(seen, wanted, strict=True)
    measurable = [(one, most) for one, most in pairs if most > SLACK_S * 2 + tick * 3]
    if measurable and all(one >= most * UNMOVED_SHARE for one, most in measurable):
        said = (
            "jitter is declared, but the delays are not random: all jobs of an outage come back at"
            " once"
        )
        yield Judgement(
            REFUTED,
            "delays.no-jitter",
            said,
            expected="random delays",
            seen=_format_seconds(seen),
        )


def _format_seconds(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.0f} s" for value in values) or "none"


def _judge_attempts_at_poison(history: History, reference: Reference) -> Iterator[Judgement]:
    """A message that nobody can do ends: at once where its error is declared permanent, else after
    the declared attempts.
    """
    raised = [event for run in history.runs for event in run.all("raised")]
    if any(reference.is_listed(event, "permanent") for event in raised):
        yield from _one_attempt(history, reference, "a poison message")
        return
    most, seen = reference.max_attempts, len(history.runs)
    if ticks.is_polled(reference.spec, reference.facts):
        seen = sum(not ticks.is_idle(run) for run in history.runs)
    if most is not None and seen > most:
        said = f"a poison message was tried {seen} times"
        yield Judgement(REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}")
    elif seen > 1:
        said = f"a poison message is tried {seen} times before it ends: trying again cannot help it"
        yield Judgement(HINT, "attempts.poison-retried", said, expected="1", seen=f"{seen}")


def _one_attempt(history: History, reference: Reference, what: str) -> Iterator[Judgement]:
    """What cannot succeed is tried once. A poller's ticks that find nothing are no attempts."""
    polled = ticks.is_polled(reference.spec, reference.facts)
    runs = [run for run in history.runs if not (polled and ticks.is_idle(run))]
    tried = 0
    if faults_met(history):
        tried = count_attempts(history, reference)
    if tried and reference.is_batch:
        # The other deliveries may have been for other pieces of work.
        seen = tried
    else:
        seen = max(len(runs), tried)
    if seen > 1:
        said = f"{what} was tried {seen} times: trying again cannot help"
        yield Judgement(REFUTED, "attempts.permanent-retried", said, expected="1", seen=f"{seen}")


def _no_effect(history: History, reference: Reference) -> Iterator[Judgement]:
    """A poison message is refused before anything happens in the world."""
    calls = history.performed()
    if reference.is_batch and len(calls) < len(reference.once.performed()):
        return  # what stands beside the poison is done
    if calls:
        first = calls[0]
        said = f"a poison message reached {first['effect']}"
        yield Judgement(
            REFUTED,
            "poison.effect",
            said,
            first["effect"],
            (first.number,),
            "no effect",
            first["args"],
        )


def _may_vanish(reference: Reference) -> bool:
    """What is done at most once is marked first: a death from then on loses the job, and with it
    its dead letter.
    """
    return any(effect.guarantee == "at_most_once" for effect in reference.effects)


def _outcome_is_unknown(history: History, reference: Reference) -> bool:
    """What may happen at most once failed, and may have happened: giving it to a person is as good
    as trying again.
    """
    risky = {effect.name for effect in reference.effects if effect.guarantee == "at_most_once"}
    for fault in history.schedule.faults:
        # "before:email#1" -> "email"
        call = fault.at.partition(":")[2].rpartition("#")[0]
        if fault.error and call in risky:
            return True
    return False


def _was_let_go(history: History) -> bool:
    """A process died after it had told the library that the job is given up: what it writes then
    comes too late.
    """
    settled = [run.settled for run in history.runs if run.died]
    return any(event is not None and event["how"] == "dead" for event in settled)


def _are_messages(reference: Reference) -> bool:
    """The dead letters are messages, of the library or in a queue: nothing there could drop a
    second one.
    """
    return reference.spec.proof is None or reference.spec.proof.dead_letters is None


def _letters_of_two(history: History, seen: int) -> Iterator[Judgement]:
    """Each job that was given up has a dead letter of its own."""
    wanted = len({delivery.job for delivery in _find_hit_deliveries(history)})
    if wanted > 1 and seen != wanted:
        there = "letter is" if seen == 1 else "letters are"
        said = f"{wanted} distinct jobs were given up, and {seen} dead {there} there"
        rule = "dead-letter.missing" if seen < wanted else "dead-letter.repeated"
        yield Judgement(REFUTED, rule, said, expected=f"{wanted}", seen=f"{seen}")


def _judge_dead_letters(history: History, reference: Reference) -> Iterator[Judgement]:
    """One dead letter for a job that was given up, none for one that was done."""
    if history.dead_letters is None or not reference.has_dead_letter:
        return
    seen = history.dead_letters - (reference.once.dead_letters or 0)
    schedule = history.schedule
    if history.early and not reference.once.dead_letters:
        said = (
            f"the job is in the dead letters after delivery {history.early}, and is still tried"
            " again"
        )
        yield Judgement(
            REFUTED, "dead-letter.early", said, expected="none before it is given up", seen="1"
        )
        return
    if _is_excused(history, reference, seen) or schedule.waiting > 1:
        # Each copy of a message that waited may be given up by itself.
        return
    if schedule.family == "distinct" and gives_up(history, reference):
        yield from _letters_of_two(history, seen)
        return
    if gives_up(history, reference) and seen != 1:
        yield from _judge_letters_of_one(history, reference, seen)
    elif schedule.family == "window" and _are_messages(reference):
        return  # the library drops what is too old
    elif must_complete(history, reference) and seen > 0 and not schedule.kills_handler:
        if seen == 1 and _outcome_is_unknown(history, reference):
            return
        if _used_its_attempts(history, reference):
            return
        said = "a job that was not given up is in the dead letters"
        yield Judgement(REFUTED, "dead-letter.unexpected", said, expected="0", seen=f"{seen}")
    elif seen > 1:
        said = f"one job left {seen} dead letters"
        yield Judgement(REFUTED, "dead-letter.repeated", said, expected="1", seen=f"{seen}")


def _is_told(history: History) -> bool:
    """Whether some record of level WARNING or above says that something was wrong."""
    return any(is_loud(event) for event in history.events)


def _used_its_attempts(history: History, reference: Reference) -> bool:
    """Errors of its own, such as a store that another process holds locked, took all attempts of
    one message: giving it up then is what was declared.
    """
    most = reference.max_attempts
    # What a message finds that was published too early is no error of its own.
    if most is None or faults_met(history) or history.schedule.family in OF_PUBLISHER:
        return False
    if most == 1:
        return any(run.raised is not None for run in history.runs)
    retried = Counter(run.job for run in history.runs if run.outcome == "retried")
    return max(retried.values(), default=0) >= most - 1


def _is_excused(history: History, reference: Reference, seen: int) -> bool:
    """Too many dead letters, or none, that are the price of a death or of the library."""
    has_crash = history.schedule.has_crash
    if seen > 1 and history.schedule.family == "after-failure":
        # What made the first job fail may be in the other one's way; it is recorded.
        return True
    if seen > 1 and has_crash and _are_messages(reference):
        # It died between the publish of a retry and the acknowledgement: nobody can help that.
        return True
    if seen < 1 and history.lost and reference.facts.lossy:
        # The library lost it while it was given up: that is said and not blamed.
        return True
    # It died while it was given up, and the library's own dead letter has it.
    return bool(seen < 1 and has_crash and history.kept and not _was_let_go(history))


def _judge_done_after_all(history: History) -> Iterator[Judgement]:
    """Where a death came between, what was done before it was skipped. Else an error that ends the
    job has not ended it, and what was never given up has no dead letter.
    """
    if not history.schedule.has_crash:
        said = "the job was tried again after a permanent error, until it was done"
        seen = "no dead letter"
        yield Judgement(
            REFUTED, "attempts.permanent-retried", said, expected="a dead letter", seen=seen
        )


def _was_done_after_all(history: History, reference: Reference) -> bool:
    """Whether the job did not come to the faulty place again: its last delivery met no error, and
    everything has taken place.
    """
    last = history.runs[-1]
    if last.outcome != "succeeded" or _has_met_error(last):
        return False
    done = {(call["effect"], call["key"], call["subject"]) for call in history.performed()}
    wanted = {(call["effect"], call["key"], call["subject"]) for call in reference.once.performed()}
    return wanted <= done


def _say_unrecorded(history: History) -> Judgement:
    """A message that breaks the payload's schema, and that no dead letter has."""
    what = "a message that breaks the payload's schema ends without a dead letter"
    if _is_told(history):
        grade, said = RiskGrade.MINOR, f"{what}: the log alone tells of it"
    else:
        grade, said = RiskGrade.BLIND, f"{what} or an error"
    return name_risk("poison-unrecorded", grade, said, expected="1 dead letter", seen="0")


def _judge_letters_of_one(history: History, reference: Reference, seen: int) -> Iterator[Judgement]:
    """A job was given up, and the dead letters that it left are not one."""
    schedule = history.schedule
    if seen < 1 and schedule.has_crash and _may_vanish(reference):
        return
    # A fault that the job never reached did not make it give up.
    if schedule.faults and not faults_met(history):
        return
    if seen < 1 and _was_done_after_all(history, reference):
        yield from _judge_done_after_all(history)
        return
    if seen < 1 and schedule.poison is not None and reference.is_malformed(schedule.poison):
        # Nobody promised to do it. That an operator can find it is enough.
        yield _say_unrecorded(history)
        return
    if seen < 1:
        rule, said = "dead-letter.missing", "the job was given up without a dead letter"
    else:
        rule, said = "dead-letter.repeated", f"one job left {seen} dead letters"
    yield Judgement(REFUTED, rule, said, expected="1", seen=f"{seen}")
