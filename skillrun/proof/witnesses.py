"""Which histories are shown for a refutation or a risk: the simplest of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from skillrun.core.verdict import RiskGrade
from skillrun.proof.judges import logs
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.judges.unpromised import merge_questions
from skillrun.proof.reference import INCOMPLETE, REFUTED, RISK, Judgement, was_met
from skillrun.proof.result import RERUNS, Tried, Witness
from skillrun.proof.schedule import Schedule

MOST = 5
# Where the simplest does not come again each time, the next ones are tried.
CANDIDATES = 3
_BY_ITSELF = ("state.not-committed",)  # needs no comparison


def choose(tried: Iterable[Tried], *, fatal: bool) -> list[list[tuple[Tried, Judgement]]]:
    """The schedules of each kind of refutation, the simplest first. `fatal`: there is no single run
    to compare with.
    """
    chosen: dict[tuple[str, str | None], list[tuple[Tried, Judgement]]] = {}
    for item in sorted(tried, key=lambda t: _weight(t.schedule)):
        if not was_met(item.history):
            continue
        for judgement in item.judgements:
            if judgement.verdict == REFUTED and (not fatal or judgement.rule in _BY_ITSELF):
                chosen.setdefault((judgement.rule, judgement.effect), []).append((item, judgement))
    return [candidates[:CANDIDATES] for candidates in chosen.values()][:MOST]


def choose_risks(tried: Iterable[Tried]) -> list[list[tuple[Tried, Judgement]]]:
    """All schedules of each risk, those of its worst grade first and the simplest of these first;
    the worst risk first. Those of one root follow the worst of it. None is left out.
    """
    found: dict[str, list[tuple[Tried, Judgement]]] = {}
    for item in sorted(tried, key=lambda one: _weight(one.schedule)):
        for judgement in item.judgements:
            if judgement.verdict == RISK and was_met(item.history):
                found.setdefault(judgement.rule, []).append((item, judgement))
    for seen in found.values():
        seen.sort(key=lambda pair: rank_grade(pair[1]))
    return _merge_by_root(sorted(found.values(), key=lambda seen: rank_grade(seen[0][1])))


def _merge_by_root(
    ranked: list[list[tuple[Tried, Judgement]]],
) -> list[list[tuple[Tried, Judgement]]]:
    """One thing to mend is told once. What keeps success away stays by itself: it is accepted by
    its own name.
    """
    merged: list[list[tuple[Tried, Judgement]]] = []
    worst: dict[str, list[tuple[Tried, Judgement]]] = {}
    for seen in ranked:
        first = seen[0][1]
        root = RISKS[first.rule].root or first.rule
        is_grave = first.grade is not None and first.grade.keeps_success_away
        if root in worst and not is_grave:
            worst[root].extend(seen)
            continue
        worst.setdefault(root, seen)
        merged.append(seen)
    return merged


def rank_grade(judgement: Judgement) -> int:
    """0 for the worst grade."""
    return list(RiskGrade).index(judgement.grade or RiskGrade.MINOR)


def log_witnesses(found: Mapping[str, logs.Answer], tried: list[Tried]) -> list[Witness]:
    """An unanswered question, shown by a delivery that poses it."""
    made = []
    for judgement in logs.judge_answers(found):
        question = judgement.rule.partition(".")[2]
        item = _find_posing(tried, found[question].schedule, found[question].example)
        made.append(Witness(item, judgement, RERUNS))
    return made


def _find_posing(tried: list[Tried], schedule: Schedule | None, outcome: str | None) -> Tried:
    """The schedule in which the answer was wrong; else one with a delivery that asks for it."""
    for item in tried:
        if item.schedule == schedule:
            return item
    for item in tried:
        if any(run.outcome == outcome for run in item.history.runs):
            return item
    return tried[0]


def release_logs(silent: list[Witness]) -> list[Witness]:
    """The questions that the logs leave open as one risk, where nobody promised an answer."""
    if not silent:
        return []
    judgement = merge_questions([witness.judgement for witness in silent])
    schedules = dict.fromkeys(witness.tried.schedule for witness in silent)
    return [replace(silent[0], judgement=judgement, schedules=tuple(schedules))]


def unstable(witness: Witness) -> Judgement:
    said = (
        f"{witness.judgement.message} under {witness.tried.schedule}, but not when that was run"
        f" again {RERUNS} times"
    )
    return Judgement(INCOMPLETE, "witness.unstable", said)


def _weight(schedule: Schedule) -> tuple[int, int]:
    """The simplest witness first."""
    return len(schedule.faults) + len(schedule.moves) + (schedule.copies - 1) * 2, schedule.copies
