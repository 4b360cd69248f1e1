"""The guarantee that an effect really had over all histories, and in which windows it repeated or
was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.proof.judges.effects import is_kept
from skillrun.proof.reference import must_complete, was_met

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.proof.history import Event, History
    from skillrun.proof.reference import Reference

_STRENGTH = {
    "exactly_once": 3,
    "keyed": 2,
    "transactional": 3,
    "at_least_once": 1,
    "at_most_once": 1,
    "none": 0,
}
_DEATHS = ("kill", "kill-lose", "double-kill", "fresh-interpreter")
_OTHER_WINDOWS = {
    "redeliver": "a redelivery after success",
    "re-enqueue": "another message for the same job",
    "window": "a redelivery much later",
    "error": "the retry after an error",
    "at-once": "two deliveries at once",
    "stall": "a delivery that stands still while another one runs",
    "fresh-interpreter": "a delivery in another interpreter",
    "publish-fault": "a fault while publishing",
    "before-commit": "a delivery before the publisher's commit",
    "distinct": "a distinct job",
    "distinct-at-once": "two distinct jobs at once",
    "dst": "two ticks when the clock is turned back",
}


@dataclass(frozen=True)
class Observed:
    """`guarantee`: exactly_once | keyed | at_least_once | at_most_once | none | unknown, and the
    windows.
    """

    guarantee: str
    repeated: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def observe(effect: Effect, histories: Iterable[History], reference: Reference) -> Observed:
    """Over the histories in which the job had to be done and the faults came about."""
    judged = [
        h
        for h in histories
        if must_complete(h, reference) and was_met(h) and not h.hung and not h.pending
    ]
    if not judged or not reference.calls(effect.name):
        return Observed("unknown")
    if effect.mode == "pass_through":
        return _by_state(judged, reference)
    repeated, lost, other = list[str](), list[str](), False
    for history in judged:
        expected, seen = reference.expected(history, effect.name), history.performed(effect.name)
        new = {call["key"] for call in seen} - {call["key"] for call in expected}
        other = other or bool(new)
        if len(seen) > len(expected):
            repeated.append(window_of(history, reference, effect.name))
        missing = {call["key"] for call in expected} - {call["key"] for call in seen}
        if ((missing and not new) or len(seen) < len(expected)) and not is_kept(history, reference):
            lost.append(window_of(history, reference, effect.name))
    keyed = effect.key_arg is not None and not other
    return Observed(_word(bool(repeated), bool(lost), keyed), _distinct(repeated), _distinct(lost))


def _word(repeated: bool, lost: bool, keyed: bool) -> str:
    if repeated and lost:
        return "none"
    if repeated:
        return "keyed" if keyed else "at_least_once"
    return "at_most_once" if lost else "exactly_once"


def _by_state(judged: list[History], reference: Reference) -> Observed:
    """What is passed through to the database is seen there."""
    names = set(reference.once.state) - reference.volatile
    if not names:
        return Observed("unknown")
    same = [h for h in judged if not h.schedule.jobs]
    wrong = [h for h in same if any(h.state.get(n) != reference.once.state[n] for n in names)]
    wrong = [h for h in wrong if not is_kept(h, reference)]
    return Observed("unknown" if wrong else "exactly_once")


def is_weaker(declared: str | None, observed: str) -> bool:
    """Whether the declared guarantee promises less than what was observed."""
    if declared is None or observed in ("unknown", "none"):
        return False
    return _STRENGTH[declared] < _STRENGTH[observed]


def _distinct(windows: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(windows))


# -- windows


def window_of(history: History, reference: Reference, effect: str) -> str:
    """Where a death lies between what lasts ("between email and commit"), else what else the
    schedule does.
    """
    killed = [
        run for run in history.runs if any(event["do"] == "kill" for event in run.all("fault"))
    ]
    if not killed or history.schedule.family not in _DEATHS:
        return _OTHER_WINDOWS.get(history.schedule.family, history.schedule.family)
    did = next(
        (run for run in killed if any(e["effect"] == effect for e in run.all("performed"))),
        killed[-1],
    )
    fault = next(event for event in did.all("fault") if event["do"] == "kill")
    return _gap(str(fault["at"]), reference.once)


def lasting(once: History) -> list[Event]:
    """The single run's steps that outlast the process, each by its "after" boundary."""
    events = once.runs[0].events if once.runs else ()
    return [e for e in events if e.kind == "at" and e["when"] == "after" and _lasts(e)]


def _lasts(event: Event) -> bool:
    if event["kind"] == "sql":
        return event["verb"] != "select" and event["open"] is False
    return event["kind"] in ("effect", "commit", "publish") or (
        event["kind"] == "redis" and bool(event["write"])
    )


def _gap(at: str, once: History) -> str:
    """Between which two lasting steps of the single run a boundary lies."""
    events = [e for e in (once.runs[0].events if once.runs else ()) if e.kind == "at"]
    place = next((number for number, event in enumerate(events) if event.boundary == at), None)
    if place is None:
        return f"a death {at.replace(':', ' ', 1)}"
    steps = lasting(once)
    done = [event for event in events[: place + 1] if event in steps]
    left = [event for event in events[place + 1 :] if event in steps]
    if done and left:
        return f"between {_short(done[-1], steps)} and {_short(left[0], steps)}"
    return (
        f"after {_short(done[-1], steps)}"
        if done
        else f"before {_short(left[0], steps)}"
        if left
        else "a death"
    )


def _short(event: Event, steps: list[Event]) -> str:
    """`email` where there is one of it, else `email#2`."""
    name = str(event["name"])
    base = name.rpartition("#")[0]
    return (
        base if sum(str(step["name"]).rpartition("#")[0] == base for step in steps) == 1 else name
    )
