"""How long a job waits before each further attempt, compared with the declared backoff.

`judge_waits` is asked by `attempts.py`, and only where the job was tried as often as declared: else
a wait would be compared with another one's bounds. Of the waits at their longest three things are
asked in turn, and the first that is wrong is said: is one too long, is one (or their sum) too
short, do they grow. Waits that are too long or too short need not grow as declared either. Of the
waits at their shortest one thing is asked: whether anything in them is random.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence

from skillrun.proof import ticks
from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.met_errors import (
    divides_itself,
    find_hit_deliveries,
    find_longest_line,
    identify_call,
)
from skillrun.proof.reference import Reference

# A wait is measured between two readings of a clock.
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
# Waits that are declared to grow by less than this, from the first to the last, may look flat.
LEAST_GROWTH = 1.5
# With random waits held at their shortest, a wait this near to the declared one is not random.
UNMOVED_SHARE = 0.97


def judge_waits(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that the waits are in the declared range, and grow where they are declared to grow.

    The proof holds random parts of a wait at their longest, or at their shortest where the schedule
    says so: then it asks only whether there is anything random.
    """
    retry = reference.spec.retry
    if retry is None or retry.kind == "none" or retry.backoff is None:
        return
    wanted = retry.delays()
    longest = retry.delays(_read_spread(reference))
    declared_for_error = ticks.find_wait_of_error(reference.spec, history.schedule)
    if declared_for_error is not None:
        wanted = longest = (declared_for_error,) * len(wanted)
    tick_s = _find_tick_s(history, reference)
    if history.schedule.low_jitter:
        # Nobody says that the wait of one error is random.
        if declared_for_error is None:
            yield from _judge_missing_jitter(history, longest, tick_s)
        return
    shortest_share = SHORTEST_SHARE
    if retry.backoff.jitter:
        shortest_share = SHORTEST_SHARE_WITH_JITTER
    # An attempt that nothing made wait was tried again at once.
    not_waited = (0.0,) * len(wanted)
    seen = (measure_delays(history) + not_waited)[: len(wanted)]
    if _is_too_long(seen, longest, tick_s):
        yield _refute("delays.too-long", "a retry waits longer than declared", wanted, seen)
    elif _is_too_short(seen, wanted, shortest_share):
        yield _refute("delays.too-short", "a retry waits shorter than declared", wanted, seen)
    elif _is_flat(seen, wanted, tick_s):
        yield _refute("delays.flat", "the delays do not grow", wanted, seen)


def _refute(rule: str, message: str, wanted: Sequence[float], seen: Sequence[float]) -> Judgement:
    """The refutation of waits that are not the declared ones."""
    expected = _format_seconds(wanted)
    return Judgement(Verdict.REFUTED, rule, message, expected=expected, seen=_format_seconds(seen))


def _format_seconds(values: Sequence[float]) -> str:
    """Seconds as a message lists them: "30 s, 60 s"."""
    return ", ".join(f"{value:.0f} s" for value in values) or "none"


def measure_delays(history: History) -> tuple[float, ...]:
    """Seconds that the library, or the handler itself, waits before each further attempt."""
    if divides_itself(history):
        # The parts wait beside each other.
        return _measure_clocks(find_longest_line(history))
    found: list[float] = []
    for delivery in history.runs:
        *between_calls, after_last = _measure_sleeps(delivery)
        found += between_calls
        # What is slept before a message for the next attempt is published adds to its delay.
        for delay in list_queued_delays(delivery):
            found.append(after_last + delay)
    if found:
        return tuple(found)
    # Nobody waits for a poller's next tick: the time that passed between two is the delay.
    return _measure_clocks(find_hit_deliveries(history))


def _measure_clocks(deliveries: list[Delivery]) -> tuple[float, ...]:
    """Seconds from each delivery's beginning to the next one's."""
    clocks = [delivery.clock for delivery in deliveries]
    return tuple(later - earlier for earlier, later in itertools.pairwise(clocks))


def list_queued_delays(delivery: Delivery) -> list[float]:
    """Seconds after which each message comes that a delivery leaves for a further attempt."""
    queued = [float(event["delay"]) for event in delivery.retries]
    settled = delivery.settled
    if settled is not None and settled["how"] == "requeued":
        queued.append(float(settled["delay"]))
    return queued


def _measure_sleeps(delivery: Delivery) -> list[float]:
    """Seconds that a handler slept before each time that it made a failed call again, then the
    seconds that it slept after the last failure.
    """
    slept_s = [0.0]
    failed_call = None
    for before, event in itertools.pairwise(delivery.events):
        if event.kind == "slept" and failed_call is not None:
            slept_s[-1] += float(event["s"])
        elif event.kind == "fault" and event["do"] == "raise":
            call = identify_call(before)
            # Who sleeps after an error tries again, also where another call meets the next error.
            # Without a sleep, an error of another call belongs to the same attempt.
            has_slept = slept_s[-1] > 0
            if call == failed_call or has_slept:
                slept_s.append(0.0)
            failed_call = call
    return slept_s


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


def _is_timed_by_library(history: History) -> bool:
    """Whether a further attempt is due when the library, or the handler's own sleep, says so."""
    return any(run.will_retry or run.first("slept") is not None for run in history.runs)


def _read_spread(reference: Reference) -> float:
    """How many times as long as computed the library's own jitter may make a wait."""
    retry = reference.spec.retry
    if retry is None or retry.backoff is None or retry.backoff.kind != "exponential":
        return 1.0
    return reference.facts.spread


def _is_too_long(seen: Sequence[float], longest: Sequence[float], tick_s: float) -> bool:
    """Whether any wait is longer than declared. A poller sees up to a tick later that a job is
    due.
    """
    bounds = [most * LONGEST_SHARE + SLACK_S + tick_s for most in longest]
    return any(map(operator.gt, seen, bounds))


def _is_too_short(seen: Sequence[float], wanted: Sequence[float], least: float) -> bool:
    """Whether any wait is shorter than `least` of the declared one, or all of them together are
    too short.
    """
    bounds = [declared * least - SLACK_S for declared in wanted]
    if any(map(operator.lt, seen, bounds)):
        return True
    return sum(seen) < sum(wanted) * SHORTEST_SHARE_OF_SUM - SUM_SLACK_S


def _is_flat(seen: Sequence[float], wanted: Sequence[float], tick_s: float) -> bool:
    """Whether the waits stay the same although they are declared to grow."""
    # What grows by less than the slack cannot be told from a constant, declared or seen.
    if not wanted or wanted[-1] <= wanted[0] * LEAST_GROWTH + SLACK_S + tick_s:
        return False
    return seen[-1] <= seen[0] + SLACK_S / 2


def _judge_missing_jitter(
    history: History, longest: Sequence[float], tick_s: float
) -> Iterator[Judgement]:
    """Checks that, with random waits at their shortest, some wait is shorter than its longest; else
    nothing is random in them.
    """
    seen = measure_delays(history)
    if not seen or len(seen) != len(longest):
        return
    # A wait of a few seconds, or of a few ticks, is the same with jitter and without: the readings
    # of the clock, or the ticks, hide what was random in it.
    least_measurable_s = SLACK_S * 2 + tick_s * 3
    is_measurable = False
    for waited, most in zip(seen, longest, strict=True):
        if most <= least_measurable_s:
            continue
        if waited < most * UNMOVED_SHARE:
            return
        is_measurable = True
    if not is_measurable:
        return
    yield Judgement(
        Verdict.REFUTED,
        "delays.no-jitter",
        "jitter is declared, but the delays are not random: all jobs of an outage come back at"
        " once",
        expected="random delays",
        seen=_format_seconds(seen),
    )
