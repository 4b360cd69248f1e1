"""Whether each effect took place as often as its declared guarantee allows, and with the arguments
of a single run.

Each effect is asked for its keys first, whatever became of the job. Where the job must have been
done, its guarantee then decides all (`_GUARANTEES`). A job that need not have been done is asked
for less: what of it may still be blamed depends on the family of the schedule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Delivery, Event, History, find_keys
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.effect_arguments import judge_arguments_without_key
from skillrun.proof.judges.effect_counts import judge_lost, judge_repeated
from skillrun.proof.judges.effect_keys import judge_given_keys, judge_keyed, judge_new_keys
from skillrun.proof.judges.money import moves_money
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.superseding import is_superseded
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.proof.reference import (
    Reference,
    count_new_letters,
    find_hit_effects,
    find_hit_items,
    must_complete,
    number_pieces,
)

if TYPE_CHECKING:
    from skillrun.contract.job import Effect


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that each effect took place neither more often nor less often than its guarantee
    allows.
    """
    for effect in reference.effects:
        yield from judge_given_keys(history, reference, effect)
        if _is_as_in_turn(history, reference, effect) or is_superseded(history, reference):
            continue
        if must_complete(history, reference):
            if effect.promise is not None:
                yield from _GUARANTEES[effect.promise](history, reference, effect)
            continue
        if reference.is_batch and history.schedule.family in ("permanent", "exhaustion"):
            yield from _judge_other_items(history, reference, effect)
        if history.schedule.family == "store-error":
            yield from _judge_bad_status(history, reference, effect)
        if history.schedule.family == "after-failure":
            yield from _judge_job_after_failure(history, reference, effect)
        if history.schedule.family == "late-success":
            yield from judge_new_keys(history, reference, effect)
        # The promise is kept also by a job that was given up.
        if effect.guarantee == "at_most_once":
            yield from judge_repeated(history, reference, effect)


def _is_as_in_turn(history: History, reference: Reference, effect: Effect) -> bool:
    """Whether two distinct jobs at once made the calls that they make one after the other, in one
    of the two orders: the later one may supersede the earlier.
    """
    if history.schedule.beside is None:
        return False
    orders = reference.orders.get(history.schedule.beside)
    if orders is None:
        return False
    seen = _count_calls(history, effect)
    return any(seen == _count_calls(order, effect) for order in orders.done)


def _count_calls(history: History, effect: Effect) -> Counter[tuple[str, str]]:
    """(key, subject) of an effect's calls -> how often it was called so."""
    calls = history.performed(effect.name)
    return Counter((str(call["key"]), str(call["subject"])) for call in calls)


# -- The job need not have been done --


def _judge_other_items(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that, where one piece of work cannot be done, the others of the same tick are."""
    hit = find_hit_items(history)
    pieces = number_pieces(reference.once)
    if pieces is None and effect.name not in find_hit_effects(history):
        # Nobody can tell which of its calls belong to the piece of work that failed.
        return
    piece_of = pieces or {}
    hit_pieces = {piece_of[what] for what in hit if what in piece_of}
    done = {call["subject"] for call in history.performed(effect.name)}
    for call in reference.calls(effect.name):
        what = str(call["subject"]), str(call["key"])
        # What comes later for the piece of work that failed does not take place either.
        was_hit = what in hit or piece_of.get(what) in hit_pieces
        if not was_hit and call["subject"] not in done:
            said = f"{effect.name} did not take place for another piece of work of the same run"
            yield Judgement(
                Verdict.REFUTED,
                "effect.others-lost",
                said,
                effect=effect.name,
                expected=call["args"],
                seen="no such call",
            )
            return


def _judge_bad_status(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that an effect whose receiver answered 503 took place, where the library takes the job
    for done.
    """
    hit = set()
    for event in history.list_of_runs("fault"):
        if event["status"]:
            # "before:email#1" -> "email"
            hit.add(str(event["at"]).partition(":")[2].rpartition("#")[0])
    if effect.name not in hit or history.pending or history.runs[-1].outcome != "succeeded":
        return
    seen = find_keys(history.performed(effect.name))
    wanted = find_keys(reference.calls(effect.name))
    if len(seen) < len(wanted):
        yield from judge_lost(history, reference, effect, len(wanted), len(seen))


def _judge_job_after_failure(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that a job that can be done is done, or recorded, whatever became of the one before
    it.
    """
    if count_new_letters(history, reference) > 1:
        return  # the other job is among the dead letters as well
    for job in history.schedule.jobs:
        alone = reference.jobs.get(job)
        if alone is None:
            continue
        seen: set[Any] = set()
        for run in history.runs_of(job):
            seen |= find_keys(_list_calls(run, effect))
        wanted = find_keys(alone.performed(effect.name))
        if len(seen) < len(wanted):
            said = f"{effect.name} did not take place for another job than the one that failed"
            yield Judgement(
                Verdict.REFUTED,
                "effect.others-lost",
                said,
                effect=effect.name,
                expected=f"{len(wanted)}",
                seen=f"{len(seen)}",
            )


def _list_calls(run: Delivery, effect: Effect) -> list[Event]:
    """The calls of an effect that took place in one delivery."""
    return [event for event in run.all("performed") if event["effect"] == effect.name]


# -- The job must have been done: its guarantee decides --


def _judge_transactional(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the stand-in of a transactional effect was called once. One that is passed
    through is judged by the state.
    """
    if effect.mode == "pass_through":
        return
    yield from judge_repeated(history, reference, effect, _find_undone_calls(history, effect))
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected):
        yield from judge_lost(history, reference, effect, len(expected), len(calls))


def _find_undone_calls(history: History, effect: Effect) -> set[int]:
    """The numbers of calls that were made in a transaction which then was not committed."""
    found: set[int] = set()
    for delivery in history.runs:
        found |= _find_undone_in(delivery, effect)
    return found


def _find_undone_in(delivery: Delivery, effect: Effect) -> set[int]:
    """The numbers of the calls in one delivery that nothing committed. What is open when it ends is
    not committed either.
    """
    found: set[int] = set()
    waiting: set[int] = set()
    is_open = False
    for event in delivery.events:
        if event.kind == "performed" and event["effect"] == effect.name and is_open:
            waiting.add(event.number)
        if event.kind != "at" or event["when"] != "after":
            continue
        if event["kind"] == "sql":
            is_open = bool(event["open"])
        elif event["kind"] in ("commit", "rollback"):
            if event["kind"] == "rollback":
                found |= waiting
            waiting, is_open = set(), False
    return found | waiting


def _judge_at_most_once(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the effect is never repeated, and is lost only where the schedule has a fault."""
    yield from judge_repeated(history, reference, effect)
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) and not history.schedule.faults:
        yield from judge_lost(history, reference, effect, len(expected), len(calls))
    yield from judge_arguments_without_key(history, reference, effect)


def _judge_at_least_once(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the effect is never lost.

    A repetition was accepted, with a reason; where nothing had failed it is a risk, since a job
    that is done, or is being done, could be remembered. A draft's guess has accepted nothing.
    """
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) or _is_one_missing(expected, calls):
        yield from judge_lost(history, reference, effect, len(expected), len(calls))
    else:
        yield from judge_arguments_without_key(history, reference, effect)
    if effect.reason == UNKEYED:
        yield from _judge_unagreed_repetition(history, effect, len(expected), calls)
        return
    idempotency = reference.spec.idempotency
    if idempotency is None or idempotency.strategy != "keyed" or len(calls) <= len(expected):
        return
    late = _find_calls_after_success(history, calls)
    how = "after the job had succeeded: a finished job is not remembered"
    if not late and history.schedule.does == {"switch"}:
        late = list(calls[len(expected) :])
        how = "for a second delivery at the same moment: neither sees the other"
    if late and not history.schedule.jobs:
        yield name_risk(
            "repeated-without-fault",
            RiskGrade.MINOR,
            f"{effect.name} took place again {how}",
            effect=effect.name,
            events=tuple(call.number for call in late),
            expected=f"{len(expected)} call{'s' * (len(expected) != 1)}",
            seen=f"{len(calls)}",
        )


def _judge_unagreed_repetition(
    history: History, effect: Effect, wanted: int, calls: tuple[Event, ...]
) -> Iterator[Judgement]:
    """Names a risk where an effect without a key takes place again, and nobody has said that it
    may.
    """
    if len(calls) <= wanted or history.schedule.jobs:
        return
    grade = RiskGrade.MONEY if moves_money(effect, calls[0]) else RiskGrade.MINOR
    yield name_risk(
        "unkeyed-repeated",
        grade,
        f"{effect.name} takes place {len(calls)} times, and takes no key by which its receiver"
        " could tell",
        effect=effect.name,
        events=tuple(call.number for call in calls),
        expected=f"{wanted} call{'s' * (wanted != 1)}, or a key",
        seen=f"{len(calls)}",
    )


def _is_one_missing(expected: list[Event], calls: tuple[Event, ...]) -> bool:
    """Whether a call of the single run has no counterpart, as far as arguments are comparable."""
    wanted = {call["args"] for call in expected}
    seen = {call["args"] for call in calls}
    # Arguments that no single run has may stand for any of the wanted ones: a time, an id.
    return seen < wanted


def _find_calls_after_success(history: History, calls: tuple[Event, ...]) -> list[Event]:
    """The calls of deliveries that began when the job had succeeded. One that had begun before
    overlaps with it, and may repeat the effect.
    """
    done = _find_end_of_success(history)
    if done is None:
        return []
    return [call for call in calls if history.delivery_of(call).events[0].number > done]


def _find_end_of_success(history: History) -> int | None:
    """The number of the last event of the delivery that succeeded first; None where none did."""
    ends = []
    for run in history.runs:
        if run.outcome == "succeeded" and run.events:
            ends.append(run.events[-1].number)
    return min(ends, default=None)


def _judge_convergent(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the effect is never lost, and that a repetition says the same: one place is never
    written with other arguments, and no further place is written.
    """
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    wanted = _group_by_place(effect, expected)
    written = _group_by_place(effect, calls)
    if len(written) < len(wanted):
        yield from judge_lost(history, reference, effect, len(wanted), len(written))
        return
    for place, said in written.items():
        if len(said) > len(wanted.get(place, said[:1])):
            yield _refute_changing_repetition(effect, "with other arguments for one key", said)
            return
    if len(written) > len(wanted):
        ones = [said[0] for said in written.values()]
        yield _refute_changing_repetition(effect, "for another key each time", ones)


def _group_by_place(effect: Effect, calls: Iterable[Event]) -> dict[tuple[str, str], list[Event]]:
    """The place that a call writes -> the calls that say different things of it. A place is the
    key, or all arguments where there is none.
    """
    found: dict[tuple[str, str], list[Event]] = {}
    for call in calls:
        if effect.key_arg:
            place = (str(call["key"]), "")
        else:
            # Without a key the arguments themselves are what is written.
            place = ("", str(call["args"]))
        same = found.setdefault(place, [])
        if all(call["args"] != other["args"] for other in same):
            same.append(call)
    return found


def _refute_changing_repetition(effect: Effect, how: str, calls: list[Event]) -> Judgement:
    """The refutation of a repetition that changes what the effect has written. `how`: what was
    other in it.
    """
    return Judgement(
        Verdict.REFUTED,
        "effect.not-convergent",
        f"{effect.name} is repeated {how}: it ends otherwise than after a single run",
        effect=effect.name,
        events=tuple(call.number for call in calls),
        expected=calls[0]["args"],
        seen=calls[-1]["args"],
    )


# Guarantee -> the function that judges an effect by it.
_GUARANTEES = {
    "keyed": judge_keyed,
    "transactional": _judge_transactional,
    "at_least_once": _judge_at_least_once,
    "at_most_once": _judge_at_most_once,
    "convergent": _judge_convergent,
}
