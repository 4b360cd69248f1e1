"""Whether each effect took place as often as its declared guarantee allows, and with the arguments
of a single run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Delivery, Event, History, find_keys
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.judges.superseding import is_superseded
from skillrun.proof.reference import (
    REFUTED,
    Judgement,
    Reference,
    count_new_letters,
    find_hit_effects,
    find_hit_items,
    must_complete,
    number_pieces,
)

if TYPE_CHECKING:
    from skillrun.contract.job import Effect


# Arguments that count attempts, or name a row or a time: two correct runs may differ in them.
_COUNTING = re.compile(
    r"(?:^|_)(?:attempts?|try|tries|retr(?:y|ies)|retried|again|redelivered|first|last|final|count|number|no|nr|num|seq|sequence|"
    r"version|revision|id|pk|row|rowid|index|position|offset|time|timestamp|ts|at|now|day|date|hour|minute|seconds?|ms|"
    r"delay|timeout|ttl|expires?|age|elapsed|duration|left|remaining|nonce|seed|random|pid|port|worker)(?:_|$)",
    re.IGNORECASE,
)
# Ids, hashes, UUIDs, flags and numbers in the text of a call.
_NUMBERS = re.compile(
    r"\b(?:[0-9a-f]{8,}|True|False)\b|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", re.IGNORECASE
)


_Keys = dict[str, set[str]]  # what calls are about -> their keys


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Checks that each effect took place neither more often nor less often than its guarantee
    allows.

    A job that need not have been done is asked for less: what it did must not have been repeated.
    """
    for effect in reference.effects:
        yield from _judge_keys(history, reference, effect)
        if _is_as_in_turn(history, reference, effect) or is_superseded(history, reference):
            continue
        if must_complete(history, reference):
            yield from _GUARANTEES[effect.guarantee or "keyed"](history, reference, effect)
            continue
        if reference.is_batch and history.schedule.family in ("permanent", "exhaustion"):
            yield from _judge_other_items(history, reference, effect)
        if history.schedule.family == "store-error":
            yield from _judge_bad_status(history, reference, effect)
        if history.schedule.family == "after-failure":
            yield from _judge_job_after_failure(history, reference, effect)
        # The promise is kept also by a job that was given up.
        if effect.guarantee == "at_most_once":
            yield from _judge_repeated(history, reference, effect)


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
                REFUTED, "effect.others-lost", said, effect.name, (), call["args"], "no such call"
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
        yield from _judge_lost(history, reference, effect, len(wanted), len(seen))


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
                REFUTED,
                "effect.others-lost",
                said,
                effect.name,
                (),
                f"{len(wanted)}",
                f"{len(seen)}",
            )


def _list_calls(run: Delivery, effect: Effect) -> list[Event]:
    """The calls of an effect that took place in one delivery."""
    return [event for event in run.all("performed") if event["effect"] == effect.name]


def _judge_keys(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
    """Checks that a keyed effect has a key in every call, and that one key never stands for two
    things.
    """
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
                REFUTED,
                "effect.key-shared",
                f"{said}: the receiver drops the second",
                effect.name,
                (first.number, call.number),
                "a key for each",
                call["key"],
            )
            return


def _judge_keyed(history: History, reference: Reference, effect: Effect) -> Iterator[Judgement]:
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
            REFUTED, "effect.key-of-two-jobs", said, effect.name, (), "a key for each job", shared
        )
        return
    calls = history.performed(effect.name)
    wanted, seen = _group_keys(reference.expected(history, effect.name), calls)
    expected: set[str] = set().union(*wanted.values())
    took = find_keys(calls)
    swapped = _find_swapped_call(calls, wanted)
    if swapped is not None and took == expected:
        yield _say_swapped(history, reference, effect, swapped)
    elif _has_more_keys(seen, wanted):
        said = f"{effect.name} took place under another key: its receiver does it again"
        under_new_key = [call for call in calls if call["key"] not in expected]
        new = [call.number for call in under_new_key or calls]
        yield Judgement(
            REFUTED,
            "effect.other-key",
            said,
            effect.name,
            tuple(new),
            _list_keys(expected),
            _list_keys(took),
        )
    elif _has_more_keys(wanted, seen):
        yield from _judge_lost(history, reference, effect, len(expected), len(took))
    else:
        yield from _judge_window(history, reference, effect, calls)
        yield from _judge_arguments_of_key(history, reference, effect)


def _find_swapped_call(calls: tuple[Event, ...], wanted: _Keys) -> Event | None:
    """The first call whose key is not one of those for what the call is about."""
    for call in calls:
        if call["key"] not in wanted.get(_find_subject(call, wanted), ()):
            return call
    return None


def _say_swapped(
    history: History, reference: Reference, effect: Effect, swapped: Event
) -> Judgement:
    """The refutation of a call that has the key of one job and the arguments of another."""
    said = f"{effect.name} is called with one job's key and another one's arguments"
    expected = reference.expected(history, effect.name)
    own = next(call for call in expected if call["key"] == swapped["key"])
    return _say_other_arguments(effect, said, swapped, own)


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
                REFUTED,
                "effect.window",
                said,
                effect.name,
                (earlier.number, call.number),
                f"within {effect.window:.0f} s",
                f"{apart:.0f} s",
            )
            return


def _judge_arguments_of_key(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the first call of a key, which its receiver keeps, says what the single run
    says.
    """
    later = reference.later
    if later is None or not _is_comparable(history):
        return
    wanted = _find_first_by_key(reference.expected(history, effect.name))
    again = _find_first_by_key(later.performed(effect.name))
    for key, call in again.items():
        if key in wanted and strip_numbers(wanted[key]) != strip_numbers(call):
            return  # it differs between two single runs
    for key, call in _find_first_by_key(history.performed(effect.name)).items():
        if key not in wanted:
            continue
        other = find_other_value(call, wanted[key], again.get(key, wanted[key]))
        # With several jobs the numbers in a call may be those of the other one's rows.
        is_other_value = bool(other) and not history.schedule.jobs
        if is_other_value or strip_numbers(call) != strip_numbers(wanted[key]):
            said = (
                f"{effect.name} takes place with other arguments than in a single run, and its"
                " receiver keeps these"
            )
            yield _say_other_arguments(effect, f"{said}{other}", call, wanted[key])
            return


def _judge_arguments_without_key(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks, for an effect without a key, that for each call of the single run there is one that
    says the same.
    """
    later = reference.later
    if later is None or not _is_comparable(history) or history.schedule.jobs:
        return
    calls, expected = history.performed(effect.name), reference.calls(effect.name)
    if len(calls) < len(expected):
        return
    second = later.performed(effect.name)
    usual = Counter(map(strip_numbers, expected))
    if usual != Counter(map(strip_numbers, second)):
        return  # it differs between two single runs
    for wanted, again in zip(expected, second, strict=True):
        if any(_says_the_same(call, wanted, again) for call in calls):
            continue
        other = _find_unusual_call(calls, usual)
        said = (
            f"{effect.name} takes place with other arguments than in a single run, and never"
            " with those"
        )
        yield _say_other_arguments(effect, said, other, wanted)
        return


def _find_unusual_call(calls: tuple[Event, ...], usual: Collection[str]) -> Event:
    """The first call that says what no call of the single run says; else the first of all."""
    for call in calls:
        if strip_numbers(call) not in usual:
            return call
    return calls[0]


def _says_the_same(call: Event, wanted: Event, again: Event) -> bool:
    """Whether a call says what the single run says. `wanted`, `again`: that run's call, and the
    same call when it was run a second time.
    """
    if strip_numbers(call) != strip_numbers(wanted):
        return False
    return not find_other_value(call, wanted, again)


def _is_comparable(history: History) -> bool:
    """Whether arguments must be those of the single run: not in another interpreter, or on another
    day.
    """
    return not (history.schedule.fresh or history.schedule.midnight or history.schedule.waits)


def _say_other_arguments(effect: Effect, said: str, call: Event, wanted: Event) -> Judgement:
    """The refutation of a call whose arguments are not those that were wanted."""
    return Judgement(
        REFUTED,
        "effect.other-arguments",
        said,
        effect.name,
        (call.number,),
        wanted["args"],
        call["args"],
    )


def _find_first_by_key(calls: Iterable[Event]) -> dict[str, Event]:
    """Key -> the first call that has it."""
    found: dict[str, Event] = {}
    for call in calls:
        found.setdefault(call["key"], call)
    return found


def strip_numbers(call: Event) -> str:
    """What a call says without the numbers in it, which count, or name a row or a time."""
    return _NUMBERS.sub("#", str(call["subject"]).partition("…")[0])


def find_other_value(call: Event, wanted: Event, again: Event) -> str:
    """An amount or a flag on which two single runs agree and this call does not, as text that a
    message goes on with: ": cents=1000 and not 700"; "" where there is none.
    """
    first, second, seen = wanted["plain"] or {}, again["plain"] or {}, call["plain"] or {}
    for name in first:
        if name not in seen or _COUNTING.search(name):
            continue
        # What two single runs say differently is no fixed amount.
        if seen[name] != first[name] == second.get(name):
            return f": {name}={seen[name]} and not {first[name]}"
    return ""


def _read_clock_at(history: History, call: Event) -> float:
    """When a call took place, in virtual seconds: the handler may have slept before it."""
    delivery = history.delivery_of(call)
    clock = delivery.clock
    for slept in delivery.all("slept"):
        if slept.number < call.number:
            clock += float(slept["s"])
    return clock


def _judge_transactional(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the stand-in of a transactional effect was called once. One that is passed
    through is judged by the state.
    """
    if effect.mode == "pass_through":
        return
    yield from _judge_repeated(history, reference, effect, _find_undone_calls(history, effect))
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected):
        yield from _judge_lost(history, reference, effect, len(expected), len(calls))


def _judge_at_least_once(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the effect is never lost.

    A repetition was accepted, with a reason; where nothing had failed it is a risk, since a job
    that is done, or is being done, could be remembered.
    """
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) or _is_one_missing(expected, calls):
        yield from _judge_lost(history, reference, effect, len(expected), len(calls))
    else:
        yield from _judge_arguments_without_key(history, reference, effect)
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
        yield from _judge_lost(history, reference, effect, len(wanted), len(written))
        return
    for place, said in written.items():
        if len(said) > len(wanted.get(place, said[:1])):
            yield _say_not_convergent(effect, "with other arguments for one key", said)
            return
    if len(written) > len(wanted):
        ones = [said[0] for said in written.values()]
        yield _say_not_convergent(effect, "for another key each time", ones)


def _group_by_place(effect: Effect, calls: Iterable[Event]) -> dict[tuple[str, str], list[Event]]:
    """The place that a call writes -> the calls that say different things of it. A place is the
    key, or all arguments where there is none.
    """
    found: dict[tuple[str, str], list[Event]] = {}
    for call in calls:
        # Without a key the arguments themselves are what is written.
        place = (str(call["key"]), "") if effect.key_arg else ("", str(call["args"]))
        same = found.setdefault(place, [])
        if all(call["args"] != other["args"] for other in same):
            same.append(call)
    return found


def _say_not_convergent(effect: Effect, how: str, calls: list[Event]) -> Judgement:
    """The refutation of a repetition that changes what the effect has written. `how`: what was
    other in it.
    """
    return Judgement(
        REFUTED,
        "effect.not-convergent",
        f"{effect.name} is repeated {how}: it ends otherwise than after a single run",
        effect.name,
        tuple(call.number for call in calls),
        calls[0]["args"],
        calls[-1]["args"],
    )


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


def _is_one_missing(expected: list[Event], calls: tuple[Event, ...]) -> bool:
    """Whether a call of the single run has no counterpart, as far as arguments are comparable."""
    wanted = {call["args"] for call in expected}
    seen = {call["args"] for call in calls}
    # Arguments that no single run has may stand for any of the wanted ones: a time, an id.
    return seen < wanted


def _judge_at_most_once(
    history: History, reference: Reference, effect: Effect
) -> Iterator[Judgement]:
    """Checks that the effect is never repeated, and is lost only where the schedule has a fault."""
    yield from _judge_repeated(history, reference, effect)
    expected = reference.expected(history, effect.name)
    calls = history.performed(effect.name)
    if len(calls) < len(expected) and not history.schedule.faults:
        yield from _judge_lost(history, reference, effect, len(expected), len(calls))
    yield from _judge_arguments_without_key(history, reference, effect)


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


def _judge_repeated(
    history: History, reference: Reference, effect: Effect, undone: Collection[int] = ()
) -> Iterator[Judgement]:
    """Checks that an effect took place no more often than in the single run. `undone`: the numbers
    of calls that a rollback has taken back.
    """
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


def _judge_lost(
    history: History, reference: Reference, effect: Effect, expected: int, seen: int
) -> Iterator[Judgement]:
    """Refutes an effect that took place `seen` times instead of `expected`, unless its job is in
    the dead letters, or was lost as the library or the spec has it: that is said elsewhere, and
    not blamed.
    """
    if is_kept(history, reference) or reference.allows_loss(history):
        return
    said = f"{effect.name} took place only in part"
    if not seen:
        said = f"{effect.name} did not take place"
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
    """Whether the job was given up, and a dead letter says so. After a death the library's own one
    is enough.
    """
    if not reference.has_dead_letter:
        return False
    if count_new_letters(history, reference) > 0:
        return True
    return history.schedule.has_crash and history.kept > 0


# Guarantee -> the function that judges an effect by it.
_GUARANTEES = {
    "keyed": _judge_keyed,
    "transactional": _judge_transactional,
    "at_least_once": _judge_at_least_once,
    "at_most_once": _judge_at_most_once,
    "convergent": _judge_convergent,
}
