"""Whether a keyed effect has the keys by which its receiver drops a duplicate.

Every call must have a key, and one run must not use a key for two things (`judge_given_keys`). Over
a whole schedule (`judge_keyed`) it is asked in this order, and the first answer is said: is a key
that of another job too; is it swapped with another job's; are there new keys, by which the receiver
does the effect again; are some missing; only then when a key comes again, and with which arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.proof.history import Event, History, find_keys
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.effect_arguments import judge_arguments_of_key, refute_arguments
from skillrun.proof.judges.effect_counts import judge_lost
from skillrun.proof.reference import Reference

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

_Keys = dict[str, set[str]]  # what calls are about -> their keys


def judge_given_keys(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Checks that a keyed effect has a key in every call, and that one key never stands for two
    things.
    """
    if effect.promise != "keyed":
        return
    calls = history.performed(effect.name)
    for call in calls:
        if call["key"] is None and effect.key_arg is not None:
            said = (
                f"{effect.name} was called without its key {effect.key_arg}: its receiver cannot"
                " drop a duplicate"
            )
            yield Judgement(
                Verdict.REFUTED,
                "effect.no-key",
                said,
                effect=effect.name,
                events=(call.number,),
                expected=f"{effect.key_arg}=…",
                seen="None",
            )
            return
    # A handler that is called again may call again with the same key; one run alone may not.
    if history.schedule.family == "once":
        yield from _judge_shared_key(effect, calls)


def _judge_shared_key(effect: Effect, calls: tuple[Event, ...]) -> Iterator[Judgement]:
    """Checks that no two calls have the same key and different arguments."""
    by_key: dict[str, Event] = {}
    for call in calls:
        first = by_key.setdefault(call["key"], call)
        if first["args"] != call["args"]:
            said = (
                f"one run calls {effect.name} twice with the key {call['key']} for different things"
            )
            yield Judgement(
                Verdict.REFUTED,
                "effect.key-shared",
                f"{said}: the receiver drops the second",
                effect=effect.name,
                events=(first.number, call.number),
                expected="a key for each",
                seen=call["key"],
            )
            return


def judge_keyed(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Checks that there are as many distinct keys as in the single run, whatever they are: a
    database may number what they are made of.
    """
    if effect.key_arg is None:
        # `effect.key-not-named` says it: nobody knows which calls are the same.
        return
    shared = _find_shared_keys(history, reference, effect)
    if shared and _are_numbered_apart(history, reference, effect):
        # The database numbers them: each is the first where it is alone.
        return
    if shared:
        said = (
            f"two distinct jobs call {effect.name} with the same key: its receiver drops the"
            " second one"
        )
        yield Judgement(
            Verdict.REFUTED,
            "effect.key-of-two-jobs",
            said,
            effect=effect.name,
            expected="a key for each job",
            seen=shared,
        )
        return
    calls = history.performed(effect.name)
    wanted, seen = _group_keys(reference.expected(history, effect.name), calls)
    expected: set[str] = set().union(*wanted.values())
    used = find_keys(calls)
    swapped = _find_swapped_call(calls, wanted)
    if swapped is not None and used == expected:
        yield _refute_swapped_call(history, reference, effect, swapped)
    elif _has_more_keys(seen, wanted):
        yield _refute_other_key(effect, calls, expected)
    elif _has_more_keys(wanted, seen):
        yield from judge_lost(history, reference, effect, len(expected), len(used))
    else:
        yield from _judge_window(history, reference, effect, calls)
        yield from judge_arguments_of_key(history, reference, effect)


def judge_new_keys(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Checks that nothing which a single run does is done under a further key, where the job need
    not have been done. What else may take place then is not asked: a word that it failed, say.
    """
    if effect.promise != "keyed" or effect.key_arg is None:
        return
    wanted = _group_by_subject(reference.calls(effect.name))
    calls = tuple(call for call in history.performed(effect.name) if str(call["subject"]) in wanted)
    if _has_more_keys(_group_by_subject(calls), wanted):
        yield _refute_other_key(effect, calls, set().union(*wanted.values()))


def _refute_other_key(effect: Effect, calls: tuple[Event, ...], expected: set[str]) -> Judgement:
    """The refutation of calls under keys that a single run does not have."""
    under_new_key = [call for call in calls if call["key"] not in expected]
    # A key that was expected, and stands at a call about something else, is no new one.
    showing = under_new_key or calls
    return Judgement(
        Verdict.REFUTED,
        "effect.other-key",
        f"{effect.name} took place under another key: its receiver does it again",
        effect=effect.name,
        events=tuple(call.number for call in showing),
        expected=_list_keys(expected),
        seen=_list_keys(find_keys(calls)),
    )


def _find_swapped_call(calls: tuple[Event, ...], wanted: _Keys) -> Event | None:
    """The first call whose key is not one of those for what the call is about."""
    for call in calls:
        if call["key"] not in wanted.get(_find_subject(call, wanted), ()):
            return call
    return None


def _refute_swapped_call(
    history: History, reference: Reference, effect: Effect, swapped: Event
) -> Judgement:
    """The refutation of a call that has the key of one job and the arguments of another."""
    said = f"{effect.name} is called with one job's key and another one's arguments"
    expected = reference.expected(history, effect.name)
    own = next(call for call in expected if call["key"] == swapped["key"])
    return refute_arguments(effect, said, swapped, own)


def _has_more_keys(these: _Keys, those: _Keys) -> bool:
    """Whether something has more keys here than there."""
    return any(len(keys) > len(those.get(subject, ())) for subject, keys in these.items())


def _find_shared_keys(history: History, reference: Reference, effect: Effect) -> str:
    """The keys that the single runs of two distinct jobs have in common, as text; "" where they
    have none.

    A job that does several things has a key for each of them, and another job may be about some of
    the same: one digest goes to a user once, whichever batch the user is in.
    """
    own = reference.calls(effect.name)
    subject_of_other: dict[Any, str] = {}
    for job in history.schedule.jobs:
        if job in reference.jobs:
            for call in reference.jobs[job].performed(effect.name):
                subject_of_other[call["key"]] = str(call["subject"])
    has_items = len({str(call["subject"]) for call in own}) > 1
    shared: list[str] = []
    for call in own:
        key, subject = call["key"], str(call["subject"])
        if key not in subject_of_other:
            continue
        is_same_item = has_items and subject_of_other[key] == subject
        if not is_same_item:
            shared.append(str(key))
    return ", ".join(sorted(shared))


def _group_keys(expected: list[Event], calls: tuple[Event, ...]) -> tuple[_Keys, _Keys]:
    """What a call is about -> its keys, first as expected and then as seen.

    Where runs say different things of what a call is about, all keys stand under "".
    """
    known = {str(call["subject"]) for call in expected}
    are_comparable = all(str(call["subject"]) in known for call in calls)
    if not are_comparable:
        return _group_as_one(expected), _group_as_one(calls)
    return _group_by_subject(expected), _group_by_subject(calls)


def _group_by_subject(calls: Iterable[Event]) -> _Keys:
    """What each call is about -> the keys of the calls that are about it."""
    keys: _Keys = {}
    for call in calls:
        keys.setdefault(str(call["subject"]), set()).add(call["key"])
    return keys


def _group_as_one(calls: Iterable[Event]) -> _Keys:
    """All keys under "", as if every call were about the same."""
    keys = find_keys(calls)
    if not keys:
        return {}
    return {"": keys}


def _find_subject(call: Event, wanted: _Keys) -> str:
    """The subject under which `_group_keys` has a call."""
    if "" in wanted:
        return ""
    return str(call["subject"])


def _are_numbered_apart(history: History, reference: Reference, effect: Effect) -> bool:
    """Whether, in one and the same database, every call had a key of its own."""
    keys = find_keys(history.performed(effect.name))
    return len(keys) == len(reference.expected(history, effect.name))


def _list_keys(keys: set[str]) -> str:
    """Keys as a message lists them."""
    return ", ".join(sorted(map(str, keys))) or "no call"


def _judge_window(
    history: History, reference: Reference, effect: Effect, calls: tuple[Event, ...]
) -> Iterator[Judgement]:
    """Checks that no key is used again when its receiver has forgotten it, and would do it again.

    A duplicate that comes later than the job itself promises to know it is allowed.
    """
    if effect.window is None:
        return
    idempotency = reference.spec.idempotency
    promised = None
    if idempotency is not None and idempotency.dedupe is not None:
        promised = idempotency.dedupe.window
    first: dict[str, tuple[Event, float]] = {}
    for call in calls:
        clock = _read_clock_at(history, call)
        earlier, began = first.setdefault(call["key"], (call, clock))
        apart = clock - began
        if apart > effect.window and (promised is None or apart <= promised):
            said = (
                f"{effect.name} was called again when its receiver had forgotten the key,"
                f" {apart:.0f} s later"
            )
            yield Judgement(
                Verdict.REFUTED,
                "effect.window",
                said,
                effect=effect.name,
                events=(earlier.number, call.number),
                expected=f"within {effect.window:.0f} s",
                seen=f"{apart:.0f} s",
            )
            return


def _read_clock_at(history: History, call: Event) -> float:
    """When a call took place, in virtual seconds: the handler may have slept before it."""
    delivery = history.delivery_of(call)
    clock = delivery.clock
    for slept in delivery.all("slept"):
        if slept.number < call.number:
            clock += float(slept["s"])
    return clock
