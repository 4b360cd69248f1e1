"""How often a job is tried, how long it waits between two attempts, and what is left of a job
that was given up.
"""

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
    count_new_letters,
    gives_up,
    is_permanent,
    is_success,
    must_complete,
)

if TYPE_CHECKING:
    from skillrun.proof.schedule import Fault, Schedule

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

# Families whose deliveries are not all attempts at the job that meets the error.
_OF_SEVERAL_DELIVERIES = ("late-error", "distinct", "after-failure")


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job ends, after as many attempts and with as many dead letters as the spec
    declares.
    """
    dies_each_time = history.schedule.dies_each_time
    if dies_each_time and reference.max_deliveries is not None:
        yield from _judge_deaths(history, reference, reference.max_deliveries)
        return
    if history.pending and not history.hung and not dies_each_time:
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
    yield from _judge_untried_after_death(history, reference)
    yield from _judge_given_up_after_death(history, reference)
    yield from _judge_dead_letters(history, reference)


# Deaths of one message that are more than an accident.
_LOOP = 2


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
        yield Judgement(REFUTED, "attempts.deaths", said, expected=f"{most}", seen=seen)
        return
    if deaths < min(most, _LOOP):
        return  # the library loses the message of a death: the schedules of single deaths say so
    if reference.has_dead_letter and not is_kept(history, reference):
        said = "a message that kills its worker each time ends without a record"
        yield Judgement(REFUTED, "dead-letter.missing", said, expected="1", seen="0")


def _judge_end_of_error(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks how often a job is tried that meets an injected error, or whose message is poison."""
    schedule = history.schedule
    if schedule.has_crash:
        # A death besides the error explains any number of attempts: only their bound is asked.
        yield from _judge_attempts_after_death(history, reference)
        return
    if schedule.family in OUTAGES or schedule.family in _OF_SEVERAL_DELIVERIES:
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
        yield from _judge_exhaustion(history, reference)


def _find_first_error(schedule: Schedule) -> Fault | None:
    """The first fault of a schedule that names an error; None where no fault does."""
    for fault in schedule.faults:
        if fault.error:
            return fault
    return None


def _judge_end_of_success(
    history: History, reference: Reference, fault: Fault
) -> Iterator[Judgement]:
    """Checks that an error that means success ends the job as success does: it is not tried again,
    and nobody is told that it failed.
    """
    if not find_injected_errors(history):
        return
    said = f"{fault.error} means success"
    ends = [run.outcome for run in history.runs if not ticks.is_idle(run)]
    letters = count_new_letters(history, reference)
    if "retried" in ends:
        yield Judgement(
            REFUTED,
            "attempts.success-retried",
            f"{said}, and the job is tried again",
            expected="1",
            seen=f"{len(ends)}",
        )
    elif "failed" in ends or letters > 0:
        yield Judgement(
            REFUTED,
            "attempts.success-failed",
            f"{said}, and the job ends as failed",
            expected="success",
            seen=", ".join(ends),
        )


def _judge_attempts_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that deaths beside a transient error add no more attempts than they explain.

    A death explains one attempt more. Where it follows the publish of a retry, the retry and the
    message that comes back each go on by themselves, unless the handler counts: that is a risk.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "exhaustion" or most is None or reference.is_batch:
        return
    seen = count_attempts(history, reference)
    most_in_two_lines = most * (schedule.kills + 1)
    text: dict[str, Any] = {"expected": f"{most + schedule.kills}", "seen": f"{seen}"}
    if seen > most_in_two_lines:
        said = f"a transient error was tried {seen} times, with {schedule.kills} death"
        yield Judgement(REFUTED, "attempts.too-many", said, **text)
    elif seen > most + schedule.kills:
        said = f"after a death the job is tried {seen} times instead of {most}"
        yield name_risk("attempts-doubled", RiskGrade.MINOR, said, **text)


def _judge_untried_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks, where the library counts a death as an attempt, that a job with attempts left runs
    again before it is given up.
    """
    schedule, most = history.schedule, reference.max_attempts
    if most is None or not reference.facts.bounded_kills:
        return
    if schedule.family not in ("kill", "double-kill") or not schedule.kills:
        return
    # A lost message does not come back, and an error may end the job by itself.
    if schedule.lose or _find_first_error(schedule) is not None:
        return
    if len(history.runs) <= schedule.kills < most and is_kept(history, reference):
        said = f"a death at {schedule.faults[-1].at} gave the job up: no attempt followed"
        yield Judgement(
            REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{len(history.runs)}"
        )


def _judge_given_up_after_death(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job with attempts left does not end among the dead letters for a death alone:
    then what the death left behind is in the way of the next attempts.
    """
    schedule, most = history.schedule, reference.max_attempts
    if schedule.family != "kill" or schedule.lose or _may_be_lost_by_death(reference):
        return
    if most is None or schedule.kills >= most:
        return
    further = [run for run in history.runs if not run.died]
    has_succeeded = any(run.outcome == "succeeded" for run in further)
    if further and not has_succeeded and is_kept(history, reference):
        said = f"after one death the job is tried {len(further)} times more, and then given up"
        yield Judgement(REFUTED, "dead-letter.after-death", said, expected="0", seen="1")


def _describe_bound(reference: Reference) -> str:
    """The end that the spec promises, as a message says it: "at most 3 attempts"."""
    most = reference.max_attempts
    if not most:
        return "an end"
    return f"at most {most} attempt{'s' * (most != 1)}"


def find_injected_errors(history: History) -> tuple[Event, ...]:
    """The errors that the proof threw into the job, in the order in which it met them."""
    return tuple(event for event in history.all("fault") if event["do"] == "raise")


def count_attempts(history: History, reference: Reference) -> int:
    """How often the job was tried, as the injected errors show it.

    Each error that was met is one attempt, unless one attempt may meet several of them.
    """
    if any(run.divides for run in history.runs):
        # Each part is tried by itself, by messages of its own.
        return max(len(_find_longest_line(history)), _count_tries_of_call(history, reference))
    met = len(find_injected_errors(history))
    if reference.is_batch:
        return met  # one piece of work meets them all
    calls = max((len(reference.calls(effect.name)) for effect in reference.effects), default=1)
    if calls <= 1:
        return met
    # Each of several calls may meet the error in one and the same attempt.
    return max(len(_find_hit_deliveries(history)), _count_tries_of_call(history, reference))


def _find_hit_deliveries(history: History) -> list[Delivery]:
    """The deliveries that met an injected error."""
    return [delivery for delivery in history.runs if _has_met_error(delivery)]


def _find_longest_line(history: History) -> list[Delivery]:
    """Of a job that divides itself, the deliveries that met an injected error and of which each was
    published by the one before it; of several such lines the longest.
    """
    lines: dict[int, list[Delivery]] = {}
    for delivery in _find_hit_deliveries(history):
        lines[delivery.number] = [*lines.get(delivery.parent, []), delivery]
    return max(lines.values(), key=len, default=[])


def _has_met_error(delivery: Delivery) -> bool:
    """Whether the proof threw an error into a delivery."""
    return "raise" in delivery.hit_by


def _count_tries_of_call(history: History, reference: Reference) -> int:
    """How often the call that was tried most often met an error: a handler may try again by itself.

    A call that a single run makes several times has so many tries in one attempt.
    """
    once: Counter[tuple[str, str]] = Counter()
    for at in reference.once.all("at"):
        if at["when"] == "before":
            once[_identify_call(at)] += 1
    tries: Counter[tuple[str, str]] = Counter()
    for delivery in history.runs:
        for at, fault in itertools.pairwise(delivery.events):
            if fault.kind == "fault" and fault["do"] == "raise" and at.kind == "at":
                tries[_identify_call(at)] += 1
    most = 0
    for call, met in tries.items():
        most = max(most, math.ceil(met / max(once[call], 1)))
    return most


def _identify_call(at: Event) -> tuple[str, str]:
    """(name, arguments) of the call at a boundary, the same each time that it is made."""
    # "email#2" -> "email"
    name = at["name"].rpartition("#")[0]
    return name, str(at["args"])


def _judge_exhaustion(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that an error that does not pass is tried as often as declared, with the declared
    waits.
    """
    most, seen = reference.max_attempts, count_attempts(history, reference)
    if most is None or seen == most:
        yield from _judge_delays(history, reference)
        return
    if seen > most:
        said = f"a transient error was tried {seen} times"
        yield Judgement(REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}")
        return
    if _outcome_is_unknown(history, reference) and is_kept(history, reference):
        return
    last = "nothing"
    if history.runs:
        last = history.runs[-1].outcome
    said = (
        f"a transient error was given up after {seen} attempt{'s' * (seen != 1)} (the last one"
        f" {last})"
    )
    yield Judgement(REFUTED, "attempts.too-few", said, expected=f"{most}", seen=f"{seen}")


def measure_delays(history: History) -> tuple[float, ...]:
    """Seconds that the library, or the handler itself, waits before each further attempt."""
    if any(run.divides for run in history.runs):
        # The parts wait beside each other.
        return _measure_clocks(_find_longest_line(history))
    found: list[float] = []
    for delivery in history.runs:
        *between, after_last = _measure_sleeps(delivery)
        found += between
        found += [after_last + delay for delay in list_queued_delays(delivery)]
    if found:
        return tuple(found)
    # Nobody waits for a poller's next tick: the time that passed between two is the delay.
    return _measure_clocks(_find_hit_deliveries(history))


def _measure_clocks(deliveries: list[Delivery]) -> tuple[float, ...]:
    """Seconds from each delivery's beginning to the next one's."""
    clocks = [delivery.clock for delivery in deliveries]
    return tuple(later - first for first, later in itertools.pairwise(clocks))


def list_queued_delays(delivery: Delivery) -> list[float]:
    """Seconds after which each message comes that a delivery leaves for a further attempt."""
    queued = [float(event["delay"]) for event in delivery.retries]
    settled = delivery.settled
    if settled is not None and settled["how"] == "requeued":
        queued.append(float(settled["delay"]))
    return queued


def _is_timed_by_library(history: History) -> bool:
    """Whether a further attempt is due when the library, or the handler's own sleep, says so."""
    for run in history.runs:
        is_requeued = run.settled is not None and run.settled["how"] == "requeued"
        if is_requeued or run.retries or run.first("slept") is not None:
            return True
    return False


def _measure_sleeps(delivery: Delivery) -> list[float]:
    """Seconds that a handler slept before each time that it made a failed call again, then the
    seconds that it slept after the last failure.
    """
    found, failed_call = [0.0], ""
    for before, event in itertools.pairwise(delivery.events):
        if event.kind == "slept" and failed_call:
            found[-1] += float(event["s"])
        elif event.kind == "fault" and event["do"] == "raise":
            call = f"{before['name']}".rpartition("#")[0] + str(before["args"])
            has_slept = failed_call and found[-1]
            if failed_call == call or has_slept:
                found.append(0.0)
            failed_call, found[-1] = call, 0.0
    return found


def _find_tick_s(history: History, reference: Reference) -> float:
    """How many seconds later than it is due an attempt may begin, since only a tick or a sweep
    looks.
    """
    if reference.spec.recovers and not _is_timed_by_library(history):
        # The job's own table says when it is due, and a sweep comes some time later.
        return math.inf
    if not ticks.is_polled(reference.spec, reference.facts):
        return 0.0
    return ticks.find_tick_s(reference.spec)


def _judge_delays(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that the waits are in the declared range, and grow where they are declared to grow.

    The proof holds random parts of a wait at their longest, or at their shortest where the schedule
    says so: then it asks only whether there is anything random.
    """
    retry = reference.spec.retry
    if retry is None or retry.kind == "none" or retry.backoff is None:
        return
    wanted, longest = retry.delays(), retry.delays(_read_spread(reference))
    own = _find_own_wait(history, reference)
    if own is not None:
        wanted = longest = (own,) * len(wanted)
    tick = _find_tick_s(history, reference)
    if history.schedule.low_jitter:
        if own is not None:
            return  # nobody says that this wait is random
        yield from _judge_missing_jitter(history, longest, tick)
        return
    not_waited = (0.0,) * len(wanted)
    seen = (measure_delays(history) + not_waited)[: len(wanted)]
    text: dict[str, Any] = {"expected": _format_seconds(wanted), "seen": _format_seconds(seen)}
    shortest_share = SHORTEST_SHARE
    if retry.backoff.jitter:
        shortest_share = SHORTEST_SHARE_WITH_JITTER
    if _is_too_long(seen, longest, tick):
        yield Judgement(REFUTED, "delays.too-long", "a retry waits longer than declared", **text)
    elif _is_too_short(seen, wanted, shortest_share):
        yield Judgement(REFUTED, "delays.too-short", "a retry waits shorter than declared", **text)
    elif _is_flat(seen, wanted, tick):
        yield Judgement(REFUTED, "delays.flat", "the delays do not grow", **text)


def _find_own_wait(history: History, reference: Reference) -> float | None:
    """Seconds that the spec gives the injected error in the place of the backoff; None where the
    backoff holds.
    """
    failures = reference.spec.failures
    if failures is None:
        return None
    for fault in history.schedule.faults:
        if not fault.error:
            continue
        entries = [error for error in failures.listed if error.type == fault.error]
        if fault.index < len(entries):
            return entries[fault.index].wait
    return None


def _is_too_long(seen: tuple[float, ...], longest: tuple[float, ...], tick: float) -> bool:
    """Whether any wait is longer than declared. A poller sees up to a tick later that a job is
    due.
    """
    bounds = [most * LONGEST_SHARE + SLACK_S + tick for most in longest]
    return any(map(operator.gt, seen, bounds))


def _is_too_short(seen: tuple[float, ...], wanted: tuple[float, ...], least: float) -> bool:
    """Whether any one of the waits is shorter than declared, or all of them together are."""
    bounds = [declared * least - SLACK_S for declared in wanted]
    if any(map(operator.lt, seen, bounds)):
        return True
    return sum(seen) < sum(wanted) * SHORTEST_SHARE_OF_SUM - SUM_SLACK_S


def _is_flat(seen: tuple[float, ...], wanted: tuple[float, ...], tick: float) -> bool:
    """Whether the waits stay the same although they are declared to grow."""
    # What grows by less than the slack cannot be told from a constant, declared or seen.
    if not wanted or wanted[-1] <= wanted[0] * LEAST_GROWTH + SLACK_S + tick:
        return False
    return seen[-1] <= seen[0] + SLACK_S / 2


def _read_spread(reference: Reference) -> float:
    """How many times as long as computed the library's own jitter may make a wait."""
    retry = reference.spec.retry
    if retry is None or retry.backoff is None or retry.backoff.kind != "exponential":
        return 1.0
    return reference.facts.spread


def _judge_missing_jitter(
    history: History, wanted: tuple[float, ...], tick: float
) -> Iterator[Judgement]:
    """Checks that, with random waits at their shortest, some wait is shorter than its longest; else
    nothing is random in them.
    """
    seen = measure_delays(history)
    if not seen or len(seen) != len(wanted):
        return
    # A wait of a few seconds, or of a few ticks, is the same with jitter and without: the readings
    # of the clock, or the ticks, hide what was random in it.
    least_measurable = SLACK_S * 2 + tick * 3
    is_measurable = False
    for waited, most in zip(seen, wanted, strict=True):
        if most <= least_measurable:
            continue
        if waited < most * UNMOVED_SHARE:
            return
        is_measurable = True
    if not is_measurable:
        return
    said = (
        "jitter is declared, but the delays are not random: all jobs of an outage come back at once"
    )
    yield Judgement(
        REFUTED,
        "delays.no-jitter",
        said,
        expected="random delays",
        seen=_format_seconds(seen),
    )


def _format_seconds(values: tuple[float, ...]) -> str:
    """Seconds as a message lists them: "30 s, 60 s"."""
    return ", ".join(f"{value:.0f} s" for value in values) or "none"


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
        yield Judgement(REFUTED, "attempts.too-many", said, expected=f"{most}", seen=f"{seen}")
    elif seen > 1:
        said = f"a poison message is tried {seen} times before it ends: trying again cannot help it"
        yield Judgement(HINT, "attempts.poison-retried", said, expected="1", seen=f"{seen}")


def _list_attempts(history: History, reference: Reference) -> list[Delivery]:
    """The deliveries to the handler. A poller's ticks that find nothing are no attempts."""
    if not ticks.is_polled(reference.spec, reference.facts):
        return list(history.runs)
    return [run for run in history.runs if not ticks.is_idle(run)]


def _judge_single_attempt(history: History, reference: Reference, what: str) -> Iterator[Judgement]:
    """Checks that what cannot succeed is tried once. `what` names it in the message."""
    tried = 0
    if find_injected_errors(history):
        tried = count_attempts(history, reference)
    if tried and reference.is_batch:
        # The other deliveries may have been for other pieces of work.
        seen = tried
    else:
        seen = max(len(_list_attempts(history, reference)), tried)
    if seen > 1:
        said = f"{what} was tried {seen} times: trying again cannot help"
        yield Judgement(REFUTED, "attempts.permanent-retried", said, expected="1", seen=f"{seen}")


def _judge_effects_of_poison(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a poison message is refused before anything happens in the world."""
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


def _may_be_lost_by_death(reference: Reference) -> bool:
    """Whether a death may lose the job, and with it its dead letter: what is done at most once is
    marked first, and a death may come between.
    """
    return any(effect.guarantee == "at_most_once" for effect in reference.effects)


def _outcome_is_unknown(history: History, reference: Reference) -> bool:
    """Whether an effect failed that may happen at most once, and may have happened: giving it to a
    person is as good as trying again.
    """
    risky = {effect.name for effect in reference.effects if effect.guarantee == "at_most_once"}
    for fault in history.schedule.faults:
        # "before:email#1" -> "email"
        call = fault.at.partition(":")[2].rpartition("#")[0]
        if fault.error and call in risky:
            return True
    return False


def _died_after_giving_up(history: History) -> bool:
    """Whether a process died after it had told the library that the job is given up: the library
    has its record by then, and the job's own could no longer be written.
    """
    settled = [run.settled for run in history.runs if run.died]
    return any(event is not None and event["how"] == "dead" for event in settled)


def _are_messages(reference: Reference) -> bool:
    """Whether the dead letters are messages, of the library or in a queue: nothing there could
    drop a second one.
    """
    return reference.spec.proof is None or reference.spec.proof.dead_letters is None


def _judge_letters_of_distinct(history: History, seen: int) -> Iterator[Judgement]:
    """Checks that each of several jobs that were given up has a dead letter of its own."""
    wanted = len({delivery.job for delivery in _find_hit_deliveries(history)})
    if wanted <= 1 or seen == wanted:
        return
    there = "letters are"
    if seen == 1:
        there = "letter is"
    rule = "dead-letter.repeated"
    if seen < wanted:
        rule = "dead-letter.missing"
    said = f"{wanted} distinct jobs were given up, and {seen} dead {there} there"
    yield Judgement(REFUTED, rule, said, expected=f"{wanted}", seen=f"{seen}")


def _judge_dead_letters(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that a job that was given up has one dead letter, and one that was done has none."""
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
    if gives_up(history, reference) and schedule.family == "distinct":
        yield from _judge_letters_of_distinct(history, seen)
    elif gives_up(history, reference) and seen != 1:
        yield from _judge_letters_of_one(history, reference, seen)
    elif schedule.family == "window" and _are_messages(reference):
        return  # the library drops what is too old
    elif must_complete(history, reference) and seen > 0 and not schedule.kills_handler:
        yield from _judge_unexpected_letter(history, reference, seen)
    elif seen > 1:
        said = f"one job left {seen} dead letters"
        yield Judgement(REFUTED, "dead-letter.repeated", said, expected="1", seen=f"{seen}")


def _judge_unexpected_letter(
    history: History, reference: Reference, seen: int
) -> Iterator[Judgement]:
    """A job must have been done, and is in the dead letters: two reasons excuse that."""
    if seen == 1 and _outcome_is_unknown(history, reference):
        return
    if _used_its_attempts(history, reference):
        return
    said = "a job that was not given up is in the dead letters"
    yield Judgement(REFUTED, "dead-letter.unexpected", said, expected="0", seen=f"{seen}")


def _has_loud_record(history: History) -> bool:
    """Whether some record of level WARNING or above says that something was wrong."""
    return any(is_loud(event) for event in history.events)


def _used_its_attempts(history: History, reference: Reference) -> bool:
    """Whether errors of its own, such as a store that another process holds locked, took all
    attempts of one message: giving it up then is what was declared.
    """
    most = reference.max_attempts
    # What a message finds that was published too early is no error of its own.
    if most is None or find_injected_errors(history) or history.schedule.family in OF_PUBLISHER:
        return False
    if most == 1:
        return any(run.raised is not None for run in history.runs)
    retried = Counter(run.job for run in history.runs if run.outcome == "retried")
    # The last attempt fails for good: it is not tried again.
    return max(retried.values(), default=0) >= most - 1


def _is_excused(history: History, reference: Reference, seen: int) -> bool:
    """Whether a death or the library explains that there are several dead letters, or none."""
    if seen > 1:
        return _are_too_many_excused(history, reference)
    if seen == 1:
        return False
    if reference.allows_loss(history):
        # The library lost it while it was given up: that is said and not blamed.
        return True
    # It died while it was given up, and the library's own dead letter has it.
    has_own_letter = history.schedule.has_crash and history.kept > 0
    return has_own_letter and not _died_after_giving_up(history)


def _are_too_many_excused(history: History, reference: Reference) -> bool:
    """Whether one job may have left more than one dead letter."""
    if history.schedule.family == "after-failure":
        # What made the first job fail may be in the other one's way; it is recorded.
        return True
    # It died between the publish of a retry and the acknowledgement: nobody can help that.
    return history.schedule.has_crash and _are_messages(reference)


def _judge_done_after_all(history: History) -> Iterator[Judgement]:
    """A job was done in the end, although it met an error that should have ended it."""
    if history.schedule.has_crash:
        # What had been done before the death was skipped, and the error with it.
        return
    said = "the job was tried again after a permanent error, until it was done"
    yield Judgement(
        REFUTED,
        "attempts.permanent-retried",
        said,
        expected="a dead letter",
        seen="no dead letter",
    )


def _was_done_after_all(history: History, reference: Reference) -> bool:
    """Whether the job did not come to the faulty place again: its last delivery met no error, and
    everything has taken place.
    """
    last = history.runs[-1]
    if last.outcome != "succeeded" or _has_met_error(last):
        return False
    done = set(map(_identify_effect, history.performed()))
    wanted = set(map(_identify_effect, reference.once.performed()))
    return wanted <= done


def _identify_effect(call: Event) -> tuple[Any, Any, Any]:
    """What tells one effect of a job from its others."""
    return call["effect"], call["key"], call["subject"]


def _name_unrecorded_poison(history: History) -> Judgement:
    """The risk of a message that breaks the payload's schema, and that no dead letter has."""
    what = "a message that breaks the payload's schema ends without a dead letter"
    if _has_loud_record(history):
        grade, said = RiskGrade.MINOR, f"{what}: the log alone tells of it"
    else:
        grade, said = RiskGrade.BLIND, f"{what} or an error"
    return name_risk("poison-unrecorded", grade, said, expected="1 dead letter", seen="0")


def _judge_letters_of_one(history: History, reference: Reference, seen: int) -> Iterator[Judgement]:
    """A job was given up, and the dead letters that it left are not one."""
    schedule = history.schedule
    if seen < 1 and schedule.has_crash and _may_be_lost_by_death(reference):
        return
    # A fault that the job never reached did not make it give up.
    if schedule.faults and not find_injected_errors(history):
        return
    if seen < 1 and _was_done_after_all(history, reference):
        yield from _judge_done_after_all(history)
        return
    if seen < 1 and schedule.poison is not None and reference.is_malformed(schedule.poison):
        # Nobody promised to do it. That an operator can find it is enough.
        yield _name_unrecorded_poison(history)
        return
    if seen < 1:
        rule, said = "dead-letter.missing", "the job was given up without a dead letter"
    else:
        rule, said = "dead-letter.repeated", f"one job left {seen} dead letters"
    yield Judgement(REFUTED, rule, said, expected="1", seen=f"{seen}")
