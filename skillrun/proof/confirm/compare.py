"""Which schedules are repeated, and whether the real worker did what the simulated one did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.broker import NotConfirmed
from skillrun.proof.confirm.interface import Confirmed, Seen
from skillrun.proof.confirm.run import Stage, unsupported
from skillrun.proof.orders import RECEIVER_WAYS
from skillrun.proof.reference import INCOMPLETE, Judgement, was_met
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
    for part in proof.parts or (proof,):
        chosen.append((part, choose(part) if asked is None else _find_asked(part, asked)))
    total = sum(len(histories) for _, histories in chosen)
    for part, histories in chosen:
        progress("a real worker", len(found), total)
        if histories:
            found += _confirm_part(part, target, histories)
    return found


def _confirm_part(part: Proof, target: Target, chosen: list[History]) -> list[Confirmed]:
    """Schedules of one example, which its proof has put first."""
    found: list[Confirmed] = []
    volatile: frozenset[str] = frozenset()
    if part.reference is not None:
        target = replace(target, spec=part.reference.spec)
        volatile = part.reference.volatile
    redelivery_s = part.facts.redelivery_s
    try:
        with Stage(target, redelivery_s=redelivery_s) as stage:
            for history in chosen:
                found.append(
                    confirm_one(stage, history, redelivery_s, volatile, jitter=_jitter(target))
                )
    except (NotConfirmed, ServiceMissing, ServiceFailed) as error:
        for history in chosen[len(found) :]:
            here = simulated(history, redelivery_s)
            found.append(Confirmed(str(history.schedule), here, None, note=str(error)))
    return found


def differences(found: list[Confirmed]) -> list[Judgement]:
    """What a real worker did otherwise: the proof's own picture of the library is wrong there."""
    judged = []
    for item in found:
        if item.agrees is False:
            said = f"under {item.schedule} a real worker does otherwise: {item.note}"
            judged.append(Judgement(INCOMPLETE, "confirm.differs", said))
    return judged


def find_untried(found: list[Confirmed]) -> list[Judgement]:
    """Somebody asked for a real worker, and not one schedule could be tried with it: why."""
    if not found or any(item.real is not None for item in found):
        return []
    said = f"no schedule could be tried with a real worker: {found[0].note}"
    return [Judgement(INCOMPLETE, "confirm.not-tried", said)]


def choose(proof: Proof) -> list[History]:
    """The first stable refutation that can be repeated, then deaths of a child and of a worker
    after an effect, then the risks that somebody would have to accept.
    """
    refuted = list(_find_refuted(proof))[:1]
    others = [history for history in _find_kills(proof) if history not in refuted]
    effects: set[str] = set()
    if proof.reference:
        effects = {effect.name for effect in proof.reference.spec.effects or ()}
    others.sort(key=lambda history: _rank(history.schedule, effects))
    return [*refuted, *others[:KILLS], *_find_risks(proof)]


def _find_asked(proof: Proof, asked: str) -> list[History]:
    text = str(parse_schedule(asked))
    for history in proof.histories:
        if str(history.schedule) == text:
            return [history]
    return []


def _find_refuted(proof: Proof) -> Iterator[History]:
    """Those of stable witnesses. What a log tells is not read from a real worker."""
    for witness in proof.witnesses:
        history = witness.tried.history
        if not witness.stable or witness.judgement.rule.startswith("logs."):
            continue
        if unsupported(history.schedule) is None:
            yield history


def _find_risks(proof: Proof) -> Iterator[History]:
    """One of each rule, where a store fails, a rival commits, or a receiver is away."""
    for risk in proof.risks:
        history = risk.tried.history
        is_new = not history.schedule.does.isdisjoint(_OF_RISKS)
        if risk.stable and is_new and unsupported(history.schedule) is None:
            yield history


def _find_kills(proof: Proof) -> Iterator[History]:
    for tried in proof.tried:
        if tried.schedule.family != "kill" or not was_met(tried.history):
            continue
        if unsupported(tried.schedule) is None:
            yield tried.history


def _rank(schedule: Schedule, effects: set[str]) -> int:
    """After an effect first: child, worker; then before one; then the rest as it comes."""
    fault = schedule.faults[0]
    when, _, name = fault.at.partition(":")
    other = name.partition("#")[0] not in effects
    return 4 * other + 2 * (when == "before") + (fault.do == "kill-worker")


def _jitter(target: Target) -> bool:
    backoff = target.spec.retry.backoff if target.spec.retry else None
    return bool(backoff and backoff.jitter)


def confirm_one(
    stage: Stage,
    history: History,
    redelivery_s: float,
    volatile: frozenset[str],
    *,
    jitter: bool = False,
) -> Confirmed:
    """One schedule, simulated and real."""
    here, text = simulated(history, redelivery_s), str(history.schedule)
    try:
        rival = history.rivalries[0].rival if history.rivalries else None
        real = stage.run(history.schedule, history.list_met(), rival, history.payloads)
    except NotConfirmed as error:
        return Confirmed(text, here, None, note=str(error))
    if history.schedule.called:
        # Which of two distinct jobs is done first, nobody promises.
        here, real = _sort_calls(here), _sort_calls(real)
    loose = jitter and history.schedule.family != "exhaustion"
    found = dict(compare(here, real, volatile, delays=not loose))
    note = "; ".join(f"{name}: {words}" for name, words in found.items())
    return Confirmed(text, here, real, tuple(found), note)


def _sort_calls(seen: Seen) -> Seen:
    calls = sorted(seen.performed, key=lambda call: (call[0], str(call[1])))
    return replace(seen, performed=tuple(calls))


def simulated(history: History, redelivery_s: float) -> Seen:
    """A history in the words of a real worker."""
    return Seen(
        tuple(_outcome(run) for run in history.runs if run.entered),
        tuple((event["effect"], event["key"]) for event in history.performed()),
        history.state,
        history.dead_letters,
        tuple(_delays(history, redelivery_s)),
    )


def _outcome(run: Delivery) -> str:
    if run.died:
        return "died"
    return "raised" if run.first("raised") is not None else "returned"


def _delays(history: History, redelivery_s: float) -> Iterator[float]:
    """For how long the job was made to wait; the time in which a death is noticed is not part of
    it.
    """
    for delivery in history.deliveries:
        if delivery.op not in ("deliver", "died"):
            continue
        for wait in _list_waits(delivery):
            is_noticed = delivery.op == "died" and wait >= redelivery_s
            left = wait - redelivery_s if is_noticed else wait
            if left > _SHORT_S:
                yield left


def _list_waits(delivery: Delivery) -> list[float]:
    waits = [float(event["delay"]) for event in delivery.retries]
    if delivery.settled is not None and delivery.settled["how"] == "requeued":
        waits.append(float(delivery.settled["delay"]))
    return waits


def compare(
    here: Seen, real: Seen, volatile: frozenset[str], *, delays: bool
) -> Iterator[tuple[str, str]]:
    """(what differs, in words)."""
    if here.outcomes != real.outcomes:
        yield "deliveries", f"{_words(here.outcomes)} simulated, {_words(real.outcomes)} real"
    if not _same_calls(here.performed, real.performed):
        yield "effects", f"{_calls(here)} simulated, {_calls(real)} real"
    for name, rows in here.state.items():
        if name not in volatile and rows != real.state.get(name):
            yield "state", f"{name} is {rows!r} simulated, {real.state.get(name)!r} real"
            break
    if here.dead_letters != real.dead_letters:
        yield "dead letters", f"{here.dead_letters} simulated, {real.dead_letters} real"
    if delays and not _alike(here.delays, real.delays):
        yield "delays", f"{_seconds(here.delays)} simulated, {_seconds(real.delays)} real"


def _same_calls(
    here: tuple[tuple[str, str | None], ...], real: tuple[tuple[str, str | None], ...]
) -> bool:
    """The same keys; where keys are other ones in each run, the same pattern of repetition."""
    if here == real:
        return True
    strangers = not {key for _, key in here} & {key for _, key in real}
    return strangers and _pattern(here) == _pattern(real)


def _pattern(calls: tuple[tuple[str, str | None], ...]) -> list[tuple[str, int]]:
    seen: list[Any] = []
    made = []
    for name, key in calls:
        if key not in seen:
            seen.append(key)
        made.append((name, seen.index(key)))
    return made


def _alike(here: tuple[float, ...], real: tuple[float, ...]) -> bool:
    """As many, and each of the same order of magnitude."""
    pairs = zip(here, real, strict=False)
    return len(here) == len(real) and all(a / 2 - 1 <= b <= a * 2 + 1 for a, b in pairs)


def _words(outcomes: tuple[str, ...]) -> str:
    return ", ".join(outcomes) or "none"


def _calls(seen: Seen) -> str:
    return ", ".join(f"{name}({key})" for name, key in seen.performed) or "none"


def _seconds(delays: tuple[float, ...]) -> str:
    return ", ".join(f"{delay:.1f} s" for delay in delays) or "none"
