"""All judges, which of them looks at a history, and how what they say is put together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from skillrun.proof.history import Event, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import (
    attempts,
    away,
    broker,
    calendar,
    dropped,
    early,
    effects,
    emptied,
    hangs,
    last_attempt,
    late,
    late_back,
    leaks,
    logs,
    outages,
    outlasted,
    process,
    queued,
    restored,
    rivals,
    state,
    superseding,
    swallowed,
    unattended,
    uncommitted,
    unknowns,
    varied,
)
from skillrun.proof.judges.one_writer import drop_unlisted_lock, say_not_tried
from skillrun.proof.judges.publishing import say_another_job
from skillrun.proof.judges.risks import hold_to_contract, set_aside
from skillrun.proof.judges.unmade import say_unmade
from skillrun.proof.judges.unpromised import release_unpromised
from skillrun.proof.reference import Reference

Judge = Callable[[History, Reference], Iterator[Judgement]]

JUDGES: dict[str, Judge] = {
    "effects": effects.judge,
    "state": state.judge,
    "attempts": attempts.judge,
    "logs": logs.judge_lies,
    "outages": outages.judge,
    "leaks": leaks.judge_logs,
    "recorded": leaks.judge_records,
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

_ORDER = {Verdict.REFUTED: 0, Verdict.INCOMPLETE: 1, Verdict.RISK: 2, Verdict.HINT: 3}


IN_ONE_PROCESS: dict[str, Judge] = {"process": process.judge, "unknowns": unknowns.judge}
"""For schedules whose deliveries share a process. What they do wrong by themselves is seen in those that share none."""


OF_VARIED: dict[str, Judge] = {"varied": varied.judge, "calendar": calendar.judge}
"""For payloads that nobody gave: whether each can be done at all is not asked, but for dates that
do not exist."""


OF_RIVALS: dict[str, Judge] = {"rivals": rivals.judge}
"""For rows that somebody else changes: what the single run leaves is no comparison."""


BY_FAMILY: dict[str, dict[str, Judge]] = {
    "varied": OF_VARIED,
    "rival": OF_RIVALS,
    "early": {"early": early.judge},
    "queued-together": {"queued": queued.judge},
    "store-emptied": {"emptied": emptied.judge},
    "store-restored": {"restored": restored.judge},
    # What the sweeps remove is theirs to remove: asked is what takes place again.
    "window-swept": {"effects": effects.judge},
    "store-dropped": {"dropped": dropped.judge},
    "effect-hangs": {"hangs": hangs.judge},
    "receiver-away": {"away": away.judge},
    "secret-echoed": {"leaks": leaks.judge_echo},
    "calendar": {"calendar": calendar.judge},
    "late": {"late": late.judge},
    "last-attempt-lost": {"last-attempt": last_attempt.judge},
    # Whether the job is done is open there; what takes place has its key in any case.
    "late-success": {"effects": effects.judge, "outlasted": outlasted.judge},
}
"""Families that ask for one thing alone, and begin with a world that no promise speaks of."""


# Between two deliveries virtual time moves by a second and by what the first one took. Where it
# moved by more than this for each of them, something was waited for.
_DELIVERY_S = 4.0
_NOW = r"(now\s*\(\s*\)|(current|local|clock|statement|transaction)_?timestamp\b(\s*\(\s*\))?)"
_SERVER_CLOCK = re.compile(
    rf"[<>]=?\s*\(?\s*{_NOW}|{_NOW}\s*(-[^<>]*)?[<>]|\bwhere\b.*{_NOW}", re.IGNORECASE
)


def _depends_on_server_clock(history: History) -> bool:
    """Whether virtual time passed in a history whose statements go by a server's own clock."""
    clocks = [delivery.clock for delivery in history.deliveries]
    passed = max(clocks, default=0.0) - min(clocks, default=0.0)
    if passed <= _DELIVERY_S * len(clocks):
        return False
    return any(compares_with_server_clock(event) for event in history.events)


def compares_with_server_clock(event: Event) -> bool:
    """Whether a statement compares something with the time of its server. SQLite has none: its
    functions for the time run in the handler's own process, and are the proof's.
    """
    if str(event["store"]).startswith(("sqlite:", ":memory:")):
        return False
    return _SERVER_CLOCK.search(str(event["sql"] or "")) is not None


def _choose_judges(history: History) -> dict[str, Judge]:
    """The judges that look at a history."""
    # What was cut off shows nothing but that; what tried again hundreds of times, without waiting,
    # shows that it never ends.
    if history.hung and not history.all("endless"):
        return {"unknowns": unknowns.judge}
    if history.all("inseparable"):
        return {}  # one of two jobs in a loop waits for the other: that is how they are told apart
    of_family = BY_FAMILY.get(history.schedule.family)
    if of_family is not None:
        return of_family
    if history.schedule.same:
        return IN_ONE_PROCESS
    return JUDGES


def judge_history(history: History, reference: Reference) -> tuple[Judgement, ...]:
    """What all judges say of a history, the worst first. A judge that crashes is said to be
    incomplete, and so is an empty history.
    """
    if not history.deliveries:
        return (Judgement(Verdict.INCOMPLETE, "proof.empty", "nothing was delivered"),)
    reference = reference.at_tick(history)
    found: list[Judgement] = []
    for name, judge in _choose_judges(history).items():
        try:
            found += judge(history, reference)
        except Exception as error:
            found.append(
                Judgement(Verdict.INCOMPLETE, "proof.judge", f"the judge {name} failed: {error!r}")
            )
    found = hold_to_contract(found, reference)
    found = release_unpromised(found, history, reference)
    if _has_claim(found) and _depends_on_server_clock(history):
        said = (
            "a statement compares with the database server's clock, which does not follow the"
            " proof's"
        )
        found = _replace_claims(found, Judgement(Verdict.INCOMPLETE, "clock.server", said))
    not_tried = say_not_tried(history, reference)
    if not_tried is not None:
        found = drop_unlisted_lock(_replace_claims(found, not_tried))
    unmade = say_unmade(history)
    if unmade is not None:
        found = _replace_claims(found, unmade)
    other = say_another_job(history, reference)
    if other is not None:
        found = _replace_claims(found, other)
    return tuple(sorted(found, key=lambda judgement: _ORDER[judgement.verdict]))


def _has_claim(found: list[Judgement]) -> bool:
    """Whether something is held against the handler."""
    return any(judgement.verdict in (Verdict.REFUTED, Verdict.RISK) for judgement in found)


def _replace_claims(found: list[Judgement], other: Judgement) -> list[Judgement]:
    """What is left to say where nothing that was seen can be held against the handler: `other`,
    which says why, stands in the place of all refutations.

    In the place of a risk stands a hint, since a risk decides no verdict.
    """
    left = [
        judgement for judgement in found if judgement.verdict not in (Verdict.REFUTED, Verdict.RISK)
    ]
    is_refuted = False
    for judgement in found:
        if judgement.verdict == Verdict.RISK:
            left.append(set_aside(judgement, other.message))
        elif judgement.verdict == Verdict.REFUTED:
            is_refuted = True
    if is_refuted:
        left.append(other)
    return left
