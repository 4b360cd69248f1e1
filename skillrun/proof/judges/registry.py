"""The judges, and how their words become one verdict."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from skillrun.proof.history import Event, History
from skillrun.proof.judges import (
    attempts,
    away,
    broker,
    calendar,
    early,
    effects,
    emptied,
    hangs,
    late,
    late_back,
    leaks,
    logs,
    outages,
    process,
    queued,
    rivals,
    state,
    superseding,
    swallowed,
    unattended,
    uncommitted,
    unknowns,
    varied,
)
from skillrun.proof.judges.publishing import another_job
from skillrun.proof.judges.risks import hold_to_contract, set_aside
from skillrun.proof.judges.unpromised import release_unpromised
from skillrun.proof.reference import HINT, INCOMPLETE, REFUTED, RISK, Judgement, Reference

Judge = Callable[[History, Reference], Iterator[Judgement]]

JUDGES: dict[str, Judge] = {
    "effects": effects.judge,
    "state": state.judge,
    "attempts": attempts.judge,
    "logs": logs.lies,
    "outages": outages.judge,
    "leaks": leaks.judge,
    "superseding": superseding.judge,
    "swallowed": swallowed.judge,
    "uncommitted": uncommitted.judge,
    "unconsumed": unattended.judge_queues,
    "timers": unattended.judge_timers,
    "sweeps": unattended.judge_sweeps,
    "broker": broker.judge,
    "late-back": late_back.judge,
    "unknowns": unknowns.judge,
}
"""Each looks at one history. Whether logs tell enough is judged over all histories: see `logs.py`."""

_ORDER = {REFUTED: 0, INCOMPLETE: 1, RISK: 2, HINT: 3}


IN_ONE_PROCESS: dict[str, Judge] = {"process": process.judge, "unknowns": unknowns.judge}
"""For schedules whose deliveries share a process. What they do wrong by themselves is seen in those that share none."""


OF_VARIED: dict[str, Judge] = {"varied": varied.judge}
"""For payloads that nobody gave: whether each can be done at all is not asked."""


OF_RIVALS: dict[str, Judge] = {"rivals": rivals.judge}
"""For rows that somebody else changes: what the single run leaves is no comparison."""


BY_FAMILY: dict[str, dict[str, Judge]] = {
    "varied": OF_VARIED,
    "rival": OF_RIVALS,
    "early": {"early": early.judge},
    "queued-together": {"queued": queued.judge},
    "store-emptied": {"emptied": emptied.judge},
    "effect-hangs": {"hangs": hangs.judge},
    "receiver-away": {"away": away.judge},
    "secret-echoed": {"leaks": leaks.judge_echo},
    "calendar": {"calendar": calendar.judge},
    "late": {"late": late.judge},
}
"""Families that ask for one thing alone, and begin with a world that no promise speaks of."""


# Between two deliveries virtual time moves by a second and by what the first one took. Where it moved
# by more than this for each of them, something was waited for.
_DELIVERY_S = 4.0
_NOW = r"(now\s*\(\s*\)|(current|local|clock|statement|transaction)_?timestamp\b(\s*\(\s*\))?)"
_SERVER_CLOCK = re.compile(
    rf"[<>]=?\s*\(?\s*{_NOW}|{_NOW}\s*(-[^<>]*)?[<>]|\bwhere\b.*{_NOW}", re.IGNORECASE
)


def _asks_the_servers_clock(history: History) -> bool:
    """Whether time passed in a history whose statements go by the time of a server."""
    clocks = [delivery.clock for delivery in history.deliveries]
    passed = max(clocks, default=0.0) - min(clocks, default=0.0)
    if passed <= _DELIVERY_S * len(clocks):
        return False
    return any(compares_with_server_clock(event) for event in history.events)


def compares_with_server_clock(event: Event) -> bool:
    """SQLite's functions for the time are the proof's: it runs in the handler's own process."""
    if str(event["store"]).startswith(("sqlite:", ":memory:")):
        return False
    return _SERVER_CLOCK.search(str(event["sql"] or "")) is not None


def _choose_judges(history: History) -> dict[str, Judge]:
    """What was cut off shows nothing but that; what tried again hundreds of times, without waiting,
    shows it.
    """
    if history.hung and not any(event.kind == "endless" for event in history.events):
        return {"unknowns": unknowns.judge}
    own = BY_FAMILY.get(history.schedule.family)
    if own is not None:
        return own
    return IN_ONE_PROCESS if history.schedule.same else JUDGES


def judge_history(history: History, reference: Reference) -> tuple[Judgement, ...]:
    """What all judges say of a history, worst first. One that crashes says incomplete, and so does
    an empty history.
    """
    if not history.deliveries:
        return (Judgement(INCOMPLETE, "proof.empty", "nothing was delivered"),)
    reference = reference.at_tick(history)
    found: list[Judgement] = []
    for name, judge in _choose_judges(history).items():
        try:
            found += judge(history, reference)
        except Exception as error:
            found.append(
                Judgement(INCOMPLETE, "proof.judge", f"the judge {name} failed: {error!r}")
            )
    found = hold_to_contract(found, reference)
    found = release_unpromised(found, history, reference)
    if _has_claim(found) and _asks_the_servers_clock(history):
        said = (
            "a statement compares with the database server's clock, which does not follow the"
            " proof's"
        )
        found = _replace_claims(found, Judgement(INCOMPLETE, "clock.server", said))
    other = another_job(history, reference)
    if other is not None:
        found = _replace_claims(found, other)
    return tuple(sorted(found, key=lambda judgement: _ORDER[judgement.verdict]))


def _has_claim(found: list[Judgement]) -> bool:
    """Whether something is held against the handler."""
    return any(judgement.verdict in (REFUTED, RISK) for judgement in found)


def _replace_claims(found: list[Judgement], other: Judgement) -> list[Judgement]:
    """What was seen cannot be held against the handler: `other` says why, in place of the
    refutations.

    Of a risk it is a hint, since a risk decides no verdict.
    """
    left = [judgement for judgement in found if judgement.verdict not in (REFUTED, RISK)]
    left += [set_aside(one, other.message) for one in found if one.verdict == RISK]
    if any(judgement.verdict == REFUTED for judgement in found):
        left.append(other)
    return left
