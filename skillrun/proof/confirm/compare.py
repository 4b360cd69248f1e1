"""Chooses the schedules that a real worker repeats, and says whether it did what the simulated one
did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.broker import NotConfirmed
from skillrun.proof.confirm.interface import Confirmed, ScheduleOutcome
from skillrun.proof.confirm.run import Stage, unsupported
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.waits import list_queued_delays
from skillrun.proof.orders import RECEIVER_WAYS
from skillrun.proof.reference import was_met
from skillrun.proof.schedule import Schedule, parse_schedule
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing

if TYPE_CHECKING:
    from skillrun.proof.history import Delivery, History
    from skillrun.proof.result import Proof, Target

KILLS = 3
_SHORT_S = 0.05
_OF_RISKS = ("fail", "rival", *RECEIVER_WAYS)

OnProgress = Callable[[str, int, int], None]


def confirm(
    proof: Proof,
    target: Target,
    progress: OnProgress | None = None,
    asked: str | None = None,
) -> list[Confirmed]:
    """Repeats the first refutation and a few kills with a real worker, or the one schedule that was
    asked for. What differs makes a `proved` incomplete.
    """
    progress = progress or (lambda what, done, of: None)
    found: list[Confirmed] = []
    chosen: list[tuple[Proof, list[History]]] = []
    total = 0
    for part in proof.parts or (proof,):
        if asked is None:
            histories = choose_histories(part)
        else:
            histories = _find_asked(part, asked)
        chosen.append((part, histories))
        total += len(histories)
    for part, histories in chosen:
        progress("a real worker", len(found), total)
        if histories:
            found += _confirm_part(part, target, histories)
    return found


def _confirm_part(part: Proof, target: Target, chosen: list[History]) -> list[Confirmed]:
    """Repeats the schedules of one example, which its proof has put first, with a real worker."""
    found: list[Confirmed] = []
    volatile: frozenset[str] = frozenset()
    if part.reference is not None:
        target = replace(target, spec=part.reference.spec)
        volatile = part.reference.volatile
    redelivery_s = part.facts.redelivery_s
    jitter = _has_jitter(target)
    try:
        with Stage(target, redelivery_s=redelivery_s) as stage:
            for history in chosen:
                found.append(confirm_one(stage, history, redelivery_s, volatile, jitter=jitter))
    except (NotConfirmed, ServiceMissing, ServiceFailed) as error:
        for history in chosen[len(found) :]:
            here = read_simulated(history, redelivery_s)
            found.append(Confirmed(str(history.schedule), here, None, note=str(error)))
    return found


def judge_differences(found: list[Confirmed]) -> list[Judgement]:
    """Says incomplete for each schedule in which a real worker did otherwise: the proof's own
    picture of the library is wrong there.
    """
    judged = []
    for item in found:
        if item.agrees is False:
            said = f"under {item.schedule} a real worker does otherwise: {item.note}"
            judged.append(Judgement(Verdict.INCOMPLETE, "confirm.differs", said))
    return judged


def find_untried(found: list[Confirmed]) -> list[Judgement]:
    """Says incomplete, and why, where not one schedule could be tried with the real worker that
    somebody asked for.
    """
    if not found or any(item.real is not None for item in found):
        return []
    said = f"no schedule could be tried with a real worker: {found[0].note}"
    return [Judgement(Verdict.INCOMPLETE, "confirm.not-tried", said)]


def choose_histories(proof: Proof) -> list[History]:
    """The histories that a real worker should repeat: the first stable refutation that can be
    repeated, then deaths of a child and of a worker after an effect, then the risks that somebody
    would have to accept.
    """
    refuted = list(_find_refuted(proof))[:1]
    others = [history for history in _find_kills(proof) if history not in refuted]
    effects: set[str] = set()
    if proof.reference:
        effects = {effect.name for effect in proof.reference.spec.effects or ()}
    others.sort(key=lambda history: _rank_schedule(history.schedule, effects))
    return [*refuted, *others[:KILLS], *_find_risks(proof)]


def _find_asked(proof: Proof, asked: str) -> list[History]:
    """The history of the schedule that somebody asked for; none where the proof has not run it."""
    text = str(parse_schedule(asked))
    for history in proof.histories:
        if str(history.schedule) == text:
            return [history]
    return []


def _find_refuted(proof: Proof) -> Iterator[History]:
    """Yields the histories of stable witnesses that can be repeated. What a log tells is not read
    from a real worker.
    """
    for witness in proof.witnesses:
        history = witness.tried.history
        if not witness.stable or witness.judgement.rule.startswith("logs."):
            continue
        if unsupported(history.schedule) is None:
            yield history


def _find_risks(proof: Proof) -> Iterator[History]:
    """Yields one history of each stable risk in which a store fails, a rival commits, or a receiver
    is away.
    """
    for risk in proof.risks:
        history = risk.tried.history
        is_new = not history.schedule.does.isdisjoint(_OF_RISKS)
        if risk.stable and is_new and unsupported(history.schedule) is None:
            yield history


def _find_kills(proof: Proof) -> Iterator[History]:
    """Yields the histories of a single death that really came about and can be repeated."""
    for tried in proof.tried:
        if tried.schedule.family != "kill" or not was_met(tried.history):
            continue
        if unsupported(tried.schedule) is None:
            yield tried.history


def _rank_schedule(schedule: Schedule, effects: set[str]) -> int:
    """The rank of a death; the lowest is the most telling one. A death after an effect comes first,
    then one before an effect, then all others; of two at the same place a child's before its
    worker's.
    """
    fault = schedule.faults[0]
    when, _, name = fault.at.partition(":")
    is_elsewhere = name.partition("#")[0] not in effects
    return 4 * is_elsewhere + 2 * (when == "before") + (fault.do == "kill-worker")


def _has_jitter(target: Target) -> bool:
    """Whether the spec declares random waits."""
    retry = target.spec.retry
    if retry is None or retry.backoff is None:
        return False
    return bool(retry.backoff.jitter)


def confirm_one(
    stage: Stage,
    history: History,
    redelivery_s: float,
    volatile: frozenset[str],
    *,
    jitter: bool = False,
) -> Confirmed:
    """Repeats one schedule with the real worker, and compares it with its simulated history."""
    here, text = read_simulated(history, redelivery_s), str(history.schedule)
    rival = None
    if history.rivalries:
        rival = history.rivalries[0].rival
    try:
        real = stage.run(history.schedule, history.list_met(), rival, history.payloads)
    except NotConfirmed as error:
        return Confirmed(text, here, None, note=str(error))
    if history.schedule.called:
        # Which of two distinct jobs is done first, nobody promises.
        here, real = _sort_calls(here), _sort_calls(real)
    # Random waits differ from run to run; only those of an exhausted job are compared all the same.
    are_comparable = not jitter or history.schedule.family == "exhaustion"
    found = dict(compare_runs(here, real, volatile, delays=are_comparable))
    note = "; ".join(f"{name}: {words}" for name, words in found.items())
    return Confirmed(text, here, real, tuple(found), note)


def _sort_calls(seen: ScheduleOutcome) -> ScheduleOutcome:
    """What was seen, with the calls in an order that does not depend on when they were made."""
    calls = sorted(seen.performed, key=lambda call: (call[0], str(call[1])))
    return replace(seen, performed=tuple(calls))


def read_simulated(history: History, redelivery_s: float) -> ScheduleOutcome:
    """What a simulated history comes to, in the form in which a real worker's run is read."""
    return ScheduleOutcome(
        tuple(_name_outcome(run) for run in history.runs if run.entered),
        tuple((event["effect"], event["key"]) for event in history.performed()),
        history.state,
        history.dead_letters,
        tuple(_list_delays(history, redelivery_s)),
    )


def _name_outcome(run: Delivery) -> str:
    """How a delivery ended, as a real worker shows it."""
    if run.died:
        return "died"
    if run.first("raised") is not None:
        return "raised"
    return "returned"


def _list_delays(history: History, redelivery_s: float) -> Iterator[float]:
    """Yields for how long the job was made to wait, each time. The time in which a death is noticed
    is no part of it.
    """
    for delivery in history.deliveries:
        if delivery.op not in ("deliver", "died"):
            continue
        for wait in list_queued_delays(delivery):
            if delivery.op == "died" and wait >= redelivery_s:
                wait -= redelivery_s
            if wait > _SHORT_S:
                yield wait


def compare_runs(
    here: ScheduleOutcome, real: ScheduleOutcome, volatile: frozenset[str], *, delays: bool
) -> Iterator[tuple[str, str]]:
    """Yields what differs between the simulated run and the real one: its name, and both in
    words.
    """
    if here.outcomes != real.outcomes:
        yield (
            "deliveries",
            f"{_list_outcomes(here.outcomes)} simulated, {_list_outcomes(real.outcomes)} real",
        )
    if not _same_calls(here.performed, real.performed):
        yield "effects", f"{_list_calls(here)} simulated, {_list_calls(real)} real"
    for name, rows in here.state.items():
        if name not in volatile and rows != real.state.get(name):
            yield "state", f"{name} is {rows!r} simulated, {real.state.get(name)!r} real"
            break
    if here.dead_letters != real.dead_letters:
        yield "dead letters", f"{here.dead_letters} simulated, {real.dead_letters} real"
    if delays and not _are_alike(here.delays, real.delays):
        yield "delays", f"{_list_seconds(here.delays)} simulated, {_list_seconds(real.delays)} real"


def _same_calls(
    here: tuple[tuple[str, str | None], ...], real: tuple[tuple[str, str | None], ...]
) -> bool:
    """Whether both runs called the same effects with the same keys; where keys are other ones in
    each run, whether they were repeated in the same way.
    """
    if here == real:
        return True
    keys_here, keys_real = {key for _, key in here}, {key for _, key in real}
    return keys_here.isdisjoint(keys_real) and _number_keys(here) == _number_keys(real)


def _number_keys(calls: tuple[tuple[str, str | None], ...]) -> list[tuple[str, int]]:
    """The calls with a number in the place of each key: 0 for the first key that came, 1 for the
    next one that was new.
    """
    seen: list[Any] = []
    made = []
    for name, key in calls:
        if key not in seen:
            seen.append(key)
        made.append((name, seen.index(key)))
    return made


def _are_alike(here: tuple[float, ...], real: tuple[float, ...]) -> bool:
    """Whether there are as many waits, and each is of the same order of magnitude."""
    if len(here) != len(real):
        return False
    pairs = zip(here, real, strict=True)
    return all(wait / 2 - 1 <= waited <= wait * 2 + 1 for wait, waited in pairs)


def _list_outcomes(outcomes: tuple[str, ...]) -> str:
    """Outcomes as a message lists them."""
    return ", ".join(outcomes) or "none"


def _list_calls(seen: ScheduleOutcome) -> str:
    """Calls as a message lists them: "email(7)"."""
    return ", ".join(f"{name}({key})" for name, key in seen.performed) or "none"


def _list_seconds(delays: tuple[float, ...]) -> str:
    """Waits as a message lists them: "2.0 s, 4.0 s"."""
    return ", ".join(f"{delay:.1f} s" for delay in delays) or "none"
