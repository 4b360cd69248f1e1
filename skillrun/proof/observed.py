"""The guarantee that an effect really had over all histories, and in which windows it repeated or
was lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.proof.history import find_keys
from skillrun.proof.reference import is_kept, must_complete, was_met

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.proof.history import Delivery, Event, History
    from skillrun.proof.reference import Reference

_STRENGTH = {
    "exactly_once": 3,
    "keyed": 2,
    "transactional": 3,
    "at_least_once": 1,
    "at_most_once": 1,
    "convergent": 1,
    "none": 0,
}
_DEATHS = ("kill", "kill-lose", "double-kill", "fresh-interpreter")
_OTHER_WINDOWS = {
    "redeliver": "a redelivery after success",
    "re-enqueue": "another message for the same job",
    "window": "a redelivery much later",
    "window-swept": "a redelivery after the sweeps have tidied up",
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
    judged = [history for history in histories if _is_judged(history, reference)]
    if not judged or not reference.calls(effect.name):
        return Observed("unknown")
    if effect.mode == "pass_through":
        return _observe_by_state(judged, reference)
    repeated, lost, other = list[str](), list[str](), False
    for history in judged:
        expected, seen = reference.expected(history, effect.name), history.performed(effect.name)
        new = find_keys(seen) - find_keys(expected)
        other = other or bool(new)
        if len(seen) > len(expected):
            repeated.append(window_of(history, reference, effect.name))
        missing = find_keys(expected) - find_keys(seen)
        # Under another key it took place all the same.
        is_lost = (missing and not new) or len(seen) < len(expected)
        if is_lost and not is_kept(history, reference):
            lost.append(window_of(history, reference, effect.name))
    keyed = effect.key_arg is not None and not other
    guarantee = _choose_guarantee(bool(repeated), bool(lost), keyed)
    return Observed(guarantee, _drop_duplicates(repeated), _drop_duplicates(lost))


def _is_judged(history: History, reference: Reference) -> bool:
    if history.hung or history.pending or not was_met(history):
        return False
    return must_complete(history, reference)


def _choose_guarantee(repeated: bool, lost: bool, keyed: bool) -> str:
    if repeated and lost:
        return "none"
    if repeated:
        if keyed:
            return "keyed"
        return "at_least_once"
    if lost:
        return "at_most_once"
    return "exactly_once"


def _observe_by_state(judged: list[History], reference: Reference) -> Observed:
    """What is passed through to the database is seen there."""
    once = {
        name: rows for name, rows in reference.once.state.items() if name not in reference.volatile
    }
    if not once:
        return Observed("unknown")
    for history in judged:
        # Another job leaves its own state too.
        if history.schedule.jobs or is_kept(history, reference):
            continue
        if {name: history.state.get(name) for name in once} != once:
            return Observed("unknown")
    return Observed("exactly_once")


def is_weaker(declared: str | None, observed: str) -> bool:
    """Whether the declared guarantee promises less than what was observed."""
    if declared is None or observed in ("unknown", "none"):
        return False
    return _STRENGTH[declared] < _STRENGTH[observed]


def _drop_duplicates(windows: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(windows))


# -- windows


def window_of(history: History, reference: Reference, effect: str) -> str:
    """Where a death lies between what lasts ("between email and commit"), else what else the
    schedule does.
    """
    deaths: list[tuple[Delivery, Event]] = []
    for run in history.runs:
        fault = _find_kill(run)
        if fault is not None:
            deaths.append((run, fault))
    if not deaths or history.schedule.family not in _DEATHS:
        return _OTHER_WINDOWS.get(history.schedule.family, history.schedule.family)
    # Of several deaths, the one after the effect explains its repetition.
    chosen = deaths[-1][1]
    for run, fault in deaths:
        if run.performs(effect):
            chosen = fault
            break
    return _name_gap(str(chosen["at"]), reference.once)


def _find_kill(run: Delivery) -> Event | None:
    """The fault that ended it."""
    for event in run.all("fault"):
        if event["do"] == "kill":
            return event
    return None


def find_lasting_steps(once: History) -> list[Event]:
    """The single run's steps that outlast the process, each by its "after" boundary."""
    found = []
    for event in _find_boundaries(once):
        if event["when"] == "after" and _is_lasting(event):
            found.append(event)
    return found


def _find_boundaries(once: History) -> list[Event]:
    """Those of the single run's delivery."""
    if not once.runs:
        return []
    return list(once.runs[0].all("at"))


def _is_lasting(event: Event) -> bool:
    if event["kind"] == "sql":
        return event["verb"] != "select" and event["open"] is False
    if event["kind"] == "redis":
        return bool(event["write"])
    return event["kind"] in ("effect", "commit", "publish")


def _name_gap(at: str, once: History) -> str:
    """Between which two lasting steps of the single run a boundary lies."""
    steps = find_lasting_steps(once)
    is_past, done, left = False, "", ""  # the last step up to it, the first one behind it
    for event in _find_boundaries(once):
        if event in steps:
            name = _shorten_name(event, steps)
            if is_past:
                left = left or name
            else:
                done = name
        is_past = is_past or event.boundary == at
    if not is_past:
        return f"a death {at.replace(':', ' ', 1)}"
    if done and left:
        return f"between {done} and {left}"
    if done:
        return f"after {done}"
    if left:
        return f"before {left}"
    return "a death"


def _shorten_name(event: Event, steps: list[Event]) -> str:
    """`email` where there is one of it, else `email#2`."""
    name = str(event["name"])
    base = name.rpartition("#")[0]
    bases = [str(step["name"]).rpartition("#")[0] for step in steps]
    if bases.count(base) == 1:
        return base
    return name
