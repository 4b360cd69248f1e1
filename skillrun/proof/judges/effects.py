"""Each effect at its declared guarantee."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.proof.history import Event, History
from skillrun.proof.reference import REFUTED, Judgement, Reference, hit_items, must_complete

if TYPE_CHECKING:
    from skillrun.contract.job import Effect


# Arguments that count attempts, or name a row or a time.
_COUNTING = re.compile(
    r"(?:^|_)(?:attempts?|try|tries|retr(?:y|ies)|retried|again|redelivered|first|last|final|count|number|no|nr|num|seq|sequence|"
    r"version|revision|id|pk|row|rowid|index|position|offset|time|timestamp|ts|at|now|day|date|hour|minute|seconds?|ms|"
    r"delay|timeout|ttl|expires?|age|elapsed|duration|left|remaining|nonce|seed|random|pid|port|worker)(?:_|$)",
    re.IGNORECASE,
)
_NUMBERS = re.compile(
    r"\b(?:[0-9a-f]{8,}|True|False)\b|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", re.IGNORECASE
)


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """What happened more often, or less often, than the guarantee allows."""
    for effect in reference.effects:
        yield from _keys(history, reference, effect)
        if _is_as_in_turn(history, reference, effect):
            continue
        if must_complete(history, reference):
            yield from _GUARANTEES[effect.guarantee or "keyed"](history, reference, effect)
            continue
        if reference.is_batch and history.schedule.family in ("permanent", "exhaustion"):
            yield from _others(history, reference, effect)
        if effect.guarantee == "at_most_once":  # also of a job that was given up
            yield from _repeated(history, reference, effect)


def _is_as_in_turn(history: History, reference: Reference, effect: Effect) -> bool:
    """Two distinct jobs at once call what they call one after the other, in one of the two orders:
    the later one may supersede the earlier.
    """
    if history.schedule.beside is None:
        return False
    seen = _calls(history, effect)
    return any(seen == _calls(order, effect) for order in reference.orders)


def _calls(history: History, effect: Effect) -> Counter[tuple[str, str]]:
    return Counter(
        (str(call["key"]), str(call["subject"])) for call in history.performed(effect.name)
    )


def _others(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Where one piece of work cannot be done, the others of the same tick are."""
    hit = hit_items(history)
    done = {call["subject"] for call in history.performed(effect.name)}
    for call in reference.calls(effect.name):
        if (str(call["subject"]), str(call["key"])) not in hit and call["subject"] not in done:
            said = f"{effect.name} did not take place for another piece of work of the same run"
            yield Judgement(
                REFUTED, "effect.others-lost", said, effect.name, (), call["args"], "no such call"
            )
            return


def _keys(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """A keyed effect has a key in every call, and one key never stands for two things."""
    if effect.guarantee != "keyed":
        return
    calls = history.performed(effect.name)
    for call in calls:
        if call["key"] is None and effect.key_arg is not None:
            said = (
                f"{effect.name} was called without its key {effect.key_arg}: its receiver cannot"
                " drop a duplicate"
            )
            yield Judgement(
                REFUTED,
                "effect.no-key",
                said,
                effect.name,
                (call.number,),
                f"{effect.key_arg}=…",
                "None",
            )
            return
    if history.schedule.family == "once":
        yield from _one_key_two_things(effect, calls)


def _one_key_two_things(effect: Effect, calls: tuple[Event, ...]) -> Iterator[Judgement]:
    by_key: dict[str, Event] = {}
    for call in calls:
        first = by_key.setdefault(call["key"], call)
        if first["args"] != call["args"]:
            said = (
                f"one run calls {effect.name} twice with the key {call['key']} for different things"
            )
            yield Judgement(
                REFUTED,
                "effect.key-shared",
                f"{said}: the receiver drops the second",
                effect.name,
                (first.number, call.number),
                "a key for each",
                call["key"],
            )
            return


def _keyed(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """As many distinct keys as in the single run, whatever they are: a database may number what
    they are made of.
    """
    if effect.key_arg is None:
        return  # `effect.key-not-named`: nobody knows which calls are the same
    shared = _shared_keys(history, reference, effect)
    if shared and _told_apart(history, reference, effect):
        return  # the database numbers them: each is the first where it is alone
    if shared:
        said = (
            f"two distinct jobs call {effect.name} with the same key: its receiver drops the"
            " second one"
        )
        yield Judgement(
            REFUTED, "effect.key-of-two-jobs", said, effect.name, (), "a key for each job", shared
        )
        return
    calls = history.performed(effect.name)
    wanted, seen = _keys_by_subject(reference.expected(history, effect.name), calls)
    expected, took = set().union(*wanted.values()), {call["key"] for call in calls}
    swapped = next(
        (one for one in calls if one["key"] not in wanted.get(_about(one, wanted), ())), None
    )
    if swapped is not None and took == expected:
        said = f"{effect.name} is called with one job's key and another one's arguments"
        own = next(
            one for one in reference.expected(history, effect.name) if one["key"] == swapped["key"]
        )
        yield _with_others(effect, said, swapped, own)
    elif any(len(keys) > len(wanted.get(subject, ())) for subject, keys in seen.items()):
        said = f"{effect.name} took place under another key: its receiver does it again"
        new = [call.number for call in calls if call["key"] not in expected] or [
            call.number for call in calls
        ]
        yield Judgement(
            REFUTED,
            "effect.other-key",
            said,
            effect.name,
            tuple(new),
            _keys_text(expected),
            _keys_text(took),
        )
    elif any(len(seen.get(subject, ())) < len(keys) for subject, keys in wanted.items()):
        yield from _lost(history, reference, effect, len(expected), len(took))
    else:
        yield from _after_window(history, reference, effect, calls)
        yield from _other_arguments(history, reference, effect)


def _shared_keys(history: History, reference: Reference, effect: Effect) -> str:
    """The keys that the single runs of two distinct jobs have in common, as text."""
    alone = [reference.jobs[job] for job in history.schedule.jobs if job in reference.jobs]
    others = {call["key"] for history in alone for call in history.performed(effect.name)}
    return ", ".join(
        sorted(str(call["key"]) for call in reference.calls(effect.name) if call["key"] in others)
    )


_Keys = dict[str, set[str]]


def _keys_by_subject(expected: list[Event], calls: tuple[Event, ...]) -> tuple[_Keys, _Keys]:
    """What a call is about -> its keys, as expected and as seen; all in one where runs say
    different things of it.
    """
    known = {str(call["subject"]) for call in expected}
    told = all(str(call["subject"]) in known for call in calls)
    wanted, seen = _Keys(), _Keys()
    for found, into in ((expected, wanted), (calls, seen)):
        for call in found:
            into.setdefault(str(call["subject"]) if told else "", set()).add(call["key"])
    return wanted, seen


def _about(call: Event, wanted: _Keys) -> str:
    """The subject under which `_keys_by_subject` has a call."""
    return str(call["subject"]) if "" not in wanted else ""


def _told_apart(history: History, reference: Reference, effect: Effect) -> bool:
    """In one and the same database every call has a key of its own."""
    keys = {call["key"] for call in history.performed(effect.name)}
    return len(keys) == len(reference.expected(history, effect.name))


def _keys_text(keys: set[str]) -> str:
    return ", ".join(sorted(map(str, keys))) or "no call"


def _after_window(
    history: History, reference: Reference, effect: Effect, calls: tuple[Event, ...]
) -> Iterator[Judgement]:
    if effect.window is None:
        return
    idempotency = reference.spec.idempotency
    promised = idempotency.dedupe.window if idempotency and idempotency.dedupe else None
    first: dict[str, tuple[Event, float]] = {}
    for call in calls:
        clock = _clock_at(history, call)
        earlier, began = first.setdefault(call["key"], (call, clock))
        apart = clock - began
        if apart > effect.window and (promised is None or apart <= promised):
            said = (
                f"{effect.name} was called again when its receiver had forgotten the key,"
                f" {apart:.0f} s later"
            )
            yield Judgement(
                REFUTED,
                "effect.window",
                said,
                effect.name,
                (earlier.number, call.number),
                f"within {effect.window:.0f} s",
                f"{apart:.0f} s",
            )
            return


def _other_arguments(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """The receiver keeps the first call of a key: that one says what the single run says."""
    later = reference.later
    if later is None or not _is_comparable(history):
        return
    wanted, second = (
        _first_by_key(reference.expected(history, effect.name)),
        _first_by_key(later.performed(effect.name)),
    )
    if any(key in wanted and _text(wanted[key]) != _text(call) for key, call in second.items()):
        return  # it differs between two single runs
    for key, call in _first_by_key(history.performed(effect.name)).items():
        if key not in wanted:
            continue
        other = _other_plain(call, wanted[key], second.get(key, wanted[key]))
        if _text(call) != _text(wanted[key]) or (other and not history.schedule.jobs):
            said = (
                f"{effect.name} takes place with other arguments than in a single run, and its"
                " receiver keeps these"
            )
            yield _with_others(effect, f"{said}{other}", call, wanted[key])
            return


def _unlike(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """An effect without a key: for each call of the single run there is one that says the same."""
    later, calls, expected = (
        reference.later,
        history.performed(effect.name),
        reference.calls(effect.name),
    )
    if (
        later is None
        or not _is_comparable(history)
        or history.schedule.jobs
        or len(calls) < len(expected)
    ):
        return
    second = later.performed(effect.name)
    if Counter(map(_text, expected)) != Counter(map(_text, second)):
        return  # it differs between two single runs
    for wanted, again in zip(expected, second, strict=True):
        if not any(
            _text(call) == _text(wanted) and not _other_plain(call, wanted, again) for call in calls
        ):
            other = next(
                (call for call in calls if _text(call) not in map(_text, expected)), calls[0]
            )
            said = (
                f"{effect.name} takes place with other arguments than in a single run, and never"
                " with those"
            )
            yield _with_others(effect, said, other, wanted)
            return


def _is_comparable(history: History) -> bool:
    """Not in another interpreter, or on another day."""
    return not (history.schedule.fresh or history.schedule.midnight or history.schedule.waits)


def _with_others(effect: Effect, said: str, call: Event, wanted: Event) -> Judgement:
    return Judgement(
        REFUTED,
        "effect.other-arguments",
        said,
        effect.name,
        (call.number,),
        wanted["args"],
        call["args"],
    )


def _first_by_key(calls: Iterable[Event]) -> dict[str, Event]:
    found: dict[str, Event] = {}
    for call in calls:
        found.setdefault(call["key"], call)
    return found


def _text(call: Event) -> str:
    """What a call says without the numbers in it, which count, or name a row or a time."""
    return _NUMBERS.sub("#", str(call["subject"]).partition("…")[0])


def _other_plain(call: Event, wanted: Event, again: Event) -> str:
    """ ", cents=1000 and not 700": an amount or a flag that two single runs agree on; "" where
    there is none.
    """
    first, second, seen = (event["plain"] or {} for event in (wanted, again, call))
    other = (
        name for name in first if name in seen and seen[name] != first[name] == second.get(name)
    )
    name = next((name for name in other if not _COUNTING.search(name)), None)
    return f": {name}={seen[name]} and not {first[name]}" if name is not None else ""


def _clock_at(history: History, call: Event) -> float:
    """When a call took place: the handler may have slept before it."""
    delivery = history.delivery_of(call)
    return delivery.clock + sum(
        float(event["s"]) for event in delivery.all("slept") if event.number < call.number
    )


def _exactly(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """A transactional effect that is passed through is judged by the state; a stand-in must be
    called once.
    """
    if effect.mode == "pass_through":
        return
    yield from _repeated(history, reference, effect, _undone(history, effect))
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected):
        yield from _lost(history, reference, effect, len(expected), len(calls))


def _at_least_once(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Never lost. A repetition is the price of a crash or an overlap, not of a redelivery after
    success.
    """
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) or _missing(expected, calls):
        yield from _lost(history, reference, effect, len(expected), len(calls))
    else:
        yield from _unlike(history, reference, effect)
    idempotency = reference.spec.idempotency
    if idempotency is None or idempotency.strategy != "keyed" or len(calls) <= len(expected):
        return
    done = _finished_at(history)
    # No overlap.
    late = [c for c in calls if done is not None and history.delivery_of(c).events[0].number > done]
    if late and not history.schedule.jobs:
        said = (
            f"{effect.name} took place again after the job had succeeded: a finished job is not"
            " remembered"
        )
        yield Judgement(
            REFUTED,
            "effect.repeated-after-success",
            said,
            effect.name,
            tuple(call.number for call in late),
            f"{len(expected)} call{'s' * (len(expected) != 1)}",
            f"{len(calls)}",
        )


def _finished_at(history: History) -> int | None:
    """The last event of the first delivery that succeeded."""
    ends = [d.events[-1].number for d in history.runs if d.outcome == "succeeded" and d.events]
    return min(ends, default=None)


def _missing(expected: list[Event], calls: tuple[Event, ...]) -> bool:
    """A call of the single run has no counterpart, as far as arguments are comparable."""
    wanted, seen = (
        Counter(call["args"] for call in expected),
        Counter(call["args"] for call in calls),
    )
    return set(seen) <= set(wanted) and any(seen[args] == 0 for args in wanted)


def _at_most_once(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Never repeated. Lost only where a fault was met."""
    yield from _repeated(history, reference, effect)
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) and not history.schedule.faults:
        yield from _lost(history, reference, effect, len(expected), len(calls))
    yield from _unlike(history, reference, effect)


def _undone(history: History, effect: Effect) -> set[int]:
    """The numbers of calls that were made in a transaction which then was not committed."""
    found: set[int] = set()
    for delivery in history.runs:
        waiting, opened = set[int](), False
        for event in delivery.events:
            if event.kind == "performed" and event["effect"] == effect.name and opened:
                waiting.add(event.number)
            elif event.kind == "at" and event["when"] == "after" and event["kind"] == "sql":
                opened = bool(event["open"])
            elif (
                event.kind == "at"
                and event["when"] == "after"
                and event["kind"] in ("commit", "rollback")
            ):
                found |= waiting if event["kind"] == "rollback" else set()
                waiting, opened = set(), False
        found |= waiting
    return found


def _repeated(
    history: History, reference: Reference, effect: Effect, undone: Collection[int] = ()
) -> Iterator[Judgement]:
    expected = reference.expected(history, effect.name)
    calls = tuple(call for call in history.performed(effect.name) if call.number not in undone)
    if len(calls) > len(expected):
        said = f"{effect.name} took place {len(calls)} times"
        yield Judgement(
            REFUTED,
            "effect.repeated",
            said,
            effect.name,
            tuple(call.number for call in calls),
            f"{len(expected)}",
            f"{len(calls)}",
        )


def _lost(
    history: History, reference: Reference, effect: Effect, expected: int, seen: int
) -> Iterator[Judgement]:
    """A job that is in the dead letters is not lost; a library that loses jobs by design is said,
    not blamed.
    """
    if is_kept(history, reference) or (history.lost and reference.facts.get("lossy")):
        return
    said = (
        f"{effect.name} did not take place"
        if not seen
        else f"{effect.name} took place only in part"
    )
    yield Judgement(
        REFUTED,
        "effect.lost",
        f"{said}, and nothing is left that would do it",
        effect.name,
        (),
        f"{expected}",
        f"{seen}",
    )


def is_kept(history: History, reference: Reference) -> bool:
    """The job was given up, and a dead letter says so; after a death the library's own one is
    enough.
    """
    found = (history.dead_letters or 0) > (reference.once.dead_letters or 0)
    return reference.has_dead_letter and (
        found or (history.schedule.has_crash and history.kept > 0)
    )


_GUARANTEES = {
    "keyed": _keyed,
    "transactional": _exactly,
    "at_least_once": _at_least_once,
    "at_most_once": _at_most_once,
}
