"""Which histories are shown for a refutation or a risk: the simplest of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from skillrun.core.verdict import RiskGrade
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import logs
from skillrun.proof.judges.log_answers import Answer
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.judges.unpromised import merge_questions
from skillrun.proof.reference import was_met
from skillrun.proof.result import RERUNS, Tried, Witness
from skillrun.proof.schedule import Schedule

MOST = 5
# Where the simplest does not come again each time, the next ones are tried.
CANDIDATES = 3
_BY_ITSELF = ("state.not-committed",)  # needs no comparison


def choose_refutations(
    tried: Iterable[Tried], *, fatal: bool
) -> list[list[tuple[Tried, Judgement]]]:
    """The schedules that show each kind of refutation, the simplest first. `fatal`: there is no
    single run to compare with, and only what needs none is chosen.

    What breaks a rule at another effect, and is told in other words, is a place of its own: who
    mends the first one has not mended it. Such places come behind the first one of every rule.
    """
    chosen: dict[tuple[str, str | None], list[tuple[Tried, Judgement]]] = {}
    further: dict[tuple[str, str], list[tuple[Tried, Judgement]]] = {}
    for item in sorted(tried, key=lambda one: _weigh_schedule(one.schedule)):
        if not was_met(item.history):
            continue
        for judgement in item.list_judgements(Verdict.REFUTED):
            if fatal and judgement.rule not in _BY_ITSELF:
                continue
            known = chosen.setdefault((judgement.rule, judgement.effect), [])
            if not known or not _is_another_place((item, judgement), known[0]):
                known.append((item, judgement))
                continue
            place = judgement.rule, str(_find_effect_met(item))
            further.setdefault(place, []).append((item, judgement))
    kinds = [*chosen.values(), *further.values()][:MOST]
    return [candidates[:CANDIDATES] for candidates in kinds]


def _is_another_place(one: tuple[Tried, Judgement], first: tuple[Tried, Judgement]) -> bool:
    """Whether what breaks a rule does so where an error came out of another effect than the one of
    the schedule that is told first.
    """
    effect, first_effect = _find_effect_met(one[0]), _find_effect_met(first[0])
    if effect is None or first_effect is None or effect == first_effect:
        return False
    return one[1].message != first[1].message


def _find_effect_met(item: Tried) -> str | None:
    """The effect that the first error of a schedule came out of; None where it has none."""
    for event in item.history.all("fault"):
        if event["do"] == "raise":
            # "before:email#1" -> "email"
            return str(event["at"]).partition(":")[2].rpartition("#")[0]
    return None


def choose_risks(tried: Iterable[Tried]) -> list[list[tuple[Tried, Judgement]]]:
    """All schedules that show each risk, the worst risk first.

    Of one risk the schedules of its worst grade come first, and the simplest of these. The
    schedules of risks with the same root follow those of the worst of them. None is left out.
    """
    found: dict[str, list[tuple[Tried, Judgement]]] = {}
    for item in sorted(tried, key=lambda one: _weigh_schedule(one.schedule)):
        for judgement in item.judgements:
            if judgement.verdict == Verdict.RISK and was_met(item.history):
                found.setdefault(judgement.rule, []).append((item, judgement))
    for seen in found.values():
        seen.sort(key=lambda pair: rank_grade(pair[1]))
    return _merge_by_root(sorted(found.values(), key=lambda seen: rank_grade(seen[0][1])))


def _merge_by_root(
    ranked: list[list[tuple[Tried, Judgement]]],
) -> list[list[tuple[Tried, Judgement]]]:
    """Puts the risks of one root together, since mending that mends them all. A risk that keeps
    success away stays by itself: it is accepted by its own name.
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
    """The rank of a judgement's grade: 0 for the worst."""
    return list(RiskGrade).index(judgement.grade or RiskGrade.MINOR)


def make_log_witnesses(found: Mapping[str, Answer], tried: list[Tried]) -> list[Witness]:
    """A witness for each question that the logs leave open: a schedule whose delivery poses it."""
    made = []
    for judgement in logs.judge_answers(found):
        question = judgement.rule.partition(".")[2]
        item = _find_posing(tried, found[question].schedule, found[question].example)
        made.append(Witness(item, judgement, RERUNS))
    return made


def _find_posing(tried: list[Tried], schedule: Schedule | None, outcome: str | None) -> Tried:
    """What was tried under the schedule in which the answer was wrong; else what has a delivery
    with such an outcome, which asks for an answer; else the first of all.
    """
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


def describe_unstable(witness: Witness) -> Judgement:
    """What is said in the place of a refutation that was seen once, and never again."""
    said = (
        f"{witness.judgement.message} under {witness.tried.schedule}, but not when that was run"
        f" again {RERUNS} times"
    )
    return Judgement(Verdict.INCOMPLETE, "witness.unstable", said)


def _weigh_schedule(schedule: Schedule) -> tuple[int, int]:
    """How hard a schedule is to follow; the simplest has the lowest weight."""
    # Two deliveries at once are harder to follow than two faults one after the other.
    further_copies = (schedule.copies - 1) * 2
    return len(schedule.faults) + len(schedule.moves) + further_copies, schedule.copies
