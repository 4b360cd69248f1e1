"""Bounded attempts, growing delays, dead letters, and an end."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from skillrun.proof import ticks
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judges.effects import is_kept
from skillrun.proof.reference import (
    REFUTED,
    Judgement,
    Reference,
    gives_up,
    is_permanent,
    must_complete,
)

SLACK_S = 1.5  # a delay is measured between two readings of a clock


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Exhaustion, permanent errors and poison end as declared; everything ends."""
    if history.pending and not history.hung:
        said = f"after {len(history.runs)} deliveries the job is still waiting: nothing bounds it"
        yield Judgement(
            REFUTED,
            "attempts.unbounded",
            said,
            expected=_bound(reference),
            seen=f"{len(history.runs)}+",
        )
        return
    family, errors = history.schedule.family, [f for f in history.schedule.faults if f.error]
    if not history.schedule.has_crash and family not in ("late-error", "distinct"):
        if family == "poison":
            yield from _one_attempt(history, reference, "a poison message")
            yield from _no_effect(history, reference)
        elif errors and is_permanent(reference, errors[0]):
            yield from _one_attempt(history, reference, f"the permanent error {errors[0].error}")
        elif family == "exhaustion" or gives_up(history, reference):
            yield from _exhausted(history, reference)
    yield from _not_tried_again(history, reference)
    yield from _given_up_by_a_death(history, reference)
    yield from _dead(history, reference)


def _not_tried_again(history: History, reference: Reference) -> Iterator[Judgement]:
    """Where the library counts a death as an attempt, a job with attempts left runs again before it
    is given up.
    """
    schedule, most = history.schedule, reference.max_attempts
    counted = (
        reference.facts.get("bounded_kills")
        and not schedule.lose
        and not any(f.error for f in schedule.faults)
    )
    if (
        not counted
        or most is None
        or not schedule.kills
        or schedule.family not in ("kill", "double-kill")
    ):
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
    if (
        schedule.family != "kill"
        or schedule.lose
        or most is None
        or schedule.kills >= most
        or _may_vanish(reference)
    ):
        return
    after = [run for run in history.runs if not run.died]
    if (
        after
        and is_kept(history, reference)
        and not any(run.outcome == "succeeded" for run in after)
    ):
        said = f"after one death the job is tried {len(after)} times more, and then given up"
        yield Judgement(REFUTED, "dead-letter.after-death", said, expected="0", seen="1")


def _bound(reference: Reference) -> str:
    most = reference.max_attempts
    return f"at most {most} attempt{'s' * (most != 1)}" if most else "an end"


def faults_met(history: History) -> tuple[Event, ...]:
    """The injected errors, in order."""
    return tuple(e for e in history.events if e.kind == "fault" and e["do"] == "raise")


def attempts(history: History, reference: Reference) -> int:
    """How often the job was tried: the injected errors, or the deliveries that met one where one
    delivery met many.
    """
    met = faults_met(history)
    if reference.is_batch:
        return len(met)  # one piece of work meets them all
    hit = _hit(history)
    calls = max((len(reference.calls(effect.name)) for effect in reference.effects), default=1)
    return len(met) if calls <= 1 else max(len(hit), _most_of_one_call(history))


def _hit(history: History) -> list[Delivery]:
    """The deliveries that met an error."""
    return [
        d for d in history.runs if any(e.kind == "fault" and e["do"] == "raise" for e in d.events)
    ]


def _most_of_one_call(history: History) -> int:
    """How often the same call, with the same arguments, met an error: a handler may try again by
    itself.
    """
    calls: Counter[tuple[str, str]] = Counter()
    for delivery in history.runs:
        for at, fault in itertools.pairwise(delivery.events):
            if fault.kind == "fault" and fault["do"] == "raise" and at.kind == "at":
                calls[at["name"].rpartition("#")[0], str(at["args"])] += 1
    return max(calls.values(), default=0)


def _exhausted(history: History, reference: Reference) -> Iterator[Judgement]:
    most, seen = reference.max_attempts, attempts(history, reference)
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
        yield from _delays(history, reference)


def measured_delays(history: History) -> tuple[float, ...]:
    """Seconds that the library, or the handler itself, waits before each further attempt."""
    found = []
    for delivery in history.runs:
        *between, last = _slept(delivery)
        settled = delivery.settled
        queued = [float(event["delay"]) for event in delivery.retries]
        if settled is not None and settled["how"] == "requeued":
            queued.append(float(settled["delay"]))
        found += [*between, *(last + delay for delay in queued)]
    hit = _hit(history)
    if not found:  # nobody waits for a poller's next tick
        found = [later.clock - first.clock for first, later in itertools.pairwise(hit)]
    return tuple(found)


def _slept(delivery: Delivery) -> list[float]:
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


def _tick_s(reference: Reference) -> float:
    """What the ticks add to a delay."""
    return (
        ticks.every(reference.spec)
        if ticks.is_polled(reference.spec, dict(reference.facts))
        else 0.0
    )


def _delays(history: History, reference: Reference) -> Iterator[Judgement]:
    """In the declared range, and growing where they are declared to grow. Measured with jitter at
    its highest.
    """
    retry = reference.spec.retry
    if retry is None or retry.kind == "none" or retry.backoff is None:
        return
    wanted, longest = retry.delays(), retry.delays(_spread(reference))
    if history.schedule.low_jitter:
        yield from _no_jitter(history, longest, _tick_s(reference))
        return
    # What was not waited is no wait.
    seen = (*measured_delays(history), *(0.0 for _ in wanted))[: len(wanted)]
    text: dict[str, Any] = {"expected": _seconds(wanted), "seen": _seconds(seen)}
    least, tick = 0.45 if retry.backoff.jitter else 0.9, _tick_s(reference)
    if any(s > w * 1.05 + SLACK_S + tick for s, w in zip(seen, longest, strict=True)):
        yield Judgement(REFUTED, "delays.too-long", "a retry waits longer than declared", **text)
    elif (
        any(s < w * least - SLACK_S for s, w in zip(seen, wanted, strict=True))
        or sum(seen) < sum(wanted) * 0.6 - 1
    ):
        yield Judgement(REFUTED, "delays.too-short", "a retry waits shorter than declared", **text)
    elif (
        wanted
        and wanted[-1] > wanted[0] * 1.5 + SLACK_S + tick
        and seen[-1] <= seen[0] + SLACK_S / 2
    ):
        yield Judgement(REFUTED, "delays.flat", "the delays do not grow", **text)


def _spread(reference: Reference) -> float:
    """How many times as long as computed the library's own jitter may make a wait."""
    retry = reference.spec.retry
    grows = retry is not None and retry.backoff is not None and retry.backoff.kind == "exponential"
    return float(reference.facts.get("spread", 1.0)) if grows else 1.0


def _no_jitter(history: History, wanted: tuple[float, ...], tick: float) -> Iterator[Judgement]:
    """With random waits at their shortest, the longest delay is shorter than declared; else nothing
    is random.
    """
    seen, least = measured_delays(history), SLACK_S * 2 + tick * 3
    if (
        seen
        and wanted
        and len(seen) == len(wanted)
        and seen[-1] >= wanted[-1] * 0.97
        and wanted[-1] > least
    ):
        said = (
            "jitter is declared, but the delays are not random: all jobs of an outage come back at"
            " once"
        )
        yield Judgement(
            REFUTED, "delays.no-jitter", said, expected="random delays", seen=_seconds(seen)
        )


def _seconds(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.0f} s" for value in values) or "none"


def _one_attempt(history: History, reference: Reference, what: str) -> Iterator[Judgement]:
    polled = ticks.is_polled(reference.spec, dict(reference.facts))
    runs = [run for run in history.runs if not (polled and ticks.is_idle(run))]
    tried = attempts(history, reference) if faults_met(history) else 0
    seen = tried if tried and reference.is_batch else max(len(runs), tried)
    if seen > 1:
        said = f"{what} was tried {seen} times: trying again cannot help"
        yield Judgement(REFUTED, "attempts.permanent-retried", said, expected="1", seen=f"{seen}")


def _no_effect(history: History, reference: Reference) -> Iterator[Judgement]:
    calls = history.performed()
    if reference.is_batch and len(calls) < len(reference.once.performed()):
        return  # what stands beside the poison is done
    if calls:
        said = f"a poison message reached {calls[0]['effect']}"
        yield Judgement(
            REFUTED,
            "poison.effect",
            said,
            calls[0]["effect"],
            (calls[0].number,),
            "no effect",
            calls[0]["args"],
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
    failed = [f.at.partition(":")[2].rpartition("#")[0] for f in history.schedule.faults if f.error]
    return any(name in risky for name in failed)


def _was_let_go(history: History) -> bool:
    """A process died after it had told the library that the job is given up: what it writes then
    comes too late.
    """
    return any(
        run.died and run.settled is not None and run.settled["how"] == "dead"
        for run in history.runs
    )


def _are_messages(reference: Reference) -> bool:
    """The dead letters are messages, of the library or in a queue: nothing there could drop a
    second one.
    """
    return reference.spec.proof is None or reference.spec.proof.dead_letters is None


def _letters_of_two(history: History, seen: int) -> Iterator[Judgement]:
    """Each job that was given up has a dead letter of its own."""
    wanted = len({delivery.job for delivery in _hit(history)})
    if wanted > 1 and seen != wanted:
        said = (
            f"{wanted} distinct jobs were given up, and {seen} dead"
            f" letter{'s are' if seen != 1 else ' is'} there"
        )
        rule = "dead-letter.missing" if seen < wanted else "dead-letter.repeated"
        yield Judgement(REFUTED, rule, said, expected=f"{wanted}", seen=f"{seen}")


def _dead(history: History, reference: Reference) -> Iterator[Judgement]:
    """One dead letter for a job that was given up, none for one that was done."""
    if history.dead_letters is None or not reference.has_dead_letter:
        return
    seen = history.dead_letters - (reference.once.dead_letters or 0)
    if history.early and not reference.once.dead_letters:
        said = (
            f"the job is in the dead letters after delivery {history.early}, and is still tried"
            " again"
        )
        yield Judgement(
            REFUTED, "dead-letter.early", said, expected="none before it is given up", seen="1"
        )
        return
    if seen > 1 and history.schedule.has_crash and _are_messages(reference):
        return  # it died between the publish of a retry and the acknowledgement: nobody can help that
    if seen < 1 and history.lost and reference.facts.get("lossy"):
        return  # the library lost it while it was given up: that is said and not blamed
    if seen < 1 and history.schedule.has_crash and history.kept and not _was_let_go(history):
        return  # it died while it was given up, and the library's own dead letter has it
    if history.schedule.family == "distinct" and gives_up(history, reference):
        yield from _letters_of_two(history, seen)
        return
    if gives_up(history, reference) and seen != 1:
        if seen < 1 and history.schedule.has_crash and _may_vanish(reference):
            return
        if not history.schedule.faults or faults_met(history):
            said = (
                "the job was given up without a dead letter"
                if seen < 1
                else f"one job left {seen} dead letters"
            )
            rule = "dead-letter.missing" if seen < 1 else "dead-letter.repeated"
            yield Judgement(REFUTED, rule, said, expected="1", seen=f"{seen}")
    elif history.schedule.family == "window" and _are_messages(reference):
        return  # the library drops what is too old
    elif must_complete(history, reference) and seen > 0 and not history.schedule.kills_handler:
        if seen == 1 and _outcome_is_unknown(history, reference):
            return
        said = "a job that was not given up is in the dead letters"
        yield Judgement(REFUTED, "dead-letter.unexpected", said, expected="0", seen=f"{seen}")
    elif seen > 1:
        yield Judgement(
            REFUTED,
            "dead-letter.repeated",
            f"one job left {seen} dead letters",
            expected="1",
            seen=f"{seen}",
        )
