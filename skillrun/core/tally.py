"""What an outcome rests on, counted: the one sentence with which a run ends, wherever it is
shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from skillrun.core.verdict import RiskGrade

# Of a stage that has passed: how its evidence came about, the strongest first.
_PASSED_BY = {"proved": "proved", "executed": "executed", "static": "read", "declared": "said"}
# Of any other stage: what is wrong first.
_OTHERS = ("failed", "blocked", "pending", "waived", "not_applicable")
_ACCEPTED = "accepted"  # of a risk, whatever its grade
_ORDER = (*_PASSED_BY.values(), "passed", *_OTHERS)


def count_things(number: int, word: str) -> str:
    """`1 run`, `2 runs`."""
    if number == 1:
        return f"1 {word}"
    return f"{number} {word}s"


def count_stages(stages: Iterable[Mapping[str, Any]], schedules: int = 0) -> dict[str, int]:
    """How many of a report's stages stand so, and under how many `schedules` those that are proved
    were tried.

    What there is none of is left out.
    """
    words = [_word_of(stage) for stage in stages]
    counts = {}
    for word in _ORDER:
        if word in words:
            counts[word] = words.count(word)
    if schedules and "proved" in counts:
        counts["schedules"] = schedules
    return counts


def counts_of(shown: Mapping[str, Any]) -> dict[str, int]:
    """The counts of a report, or of a job of a verification; an older one has its stages alone."""
    return dict(shown.get("counts") or count_stages(shown.get("stages", ())))


def sum_reports(outcome: str, reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `outcome_line` takes for several reports together: their counts added up, all their
    risks.
    """
    counts: Counter[str] = Counter()
    risks: list[Mapping[str, Any]] = []
    for report in reports:
        counts.update(counts_of(report))
        risks += report.get("risks", ())
    return {"outcome": outcome, "counts": dict(counts), "risks": risks}


def _word_of(stage: Mapping[str, Any]) -> str:
    status = str(stage["status"])
    if status != "passed":
        return status
    return _PASSED_BY.get(str(stage["grade"]), status)


def outcome_line(report: Mapping[str, Any]) -> str:
    """E.g. `success: 4 proved (276 schedules), 2 executed, 3 read`; the outcome alone where no
    stage is known.
    """
    counts = counts_of(report)
    parts = []
    for word in _ORDER:
        if counts.get(word):
            parts.append(_part(word, counts))
    line = str(report["outcome"])
    if parts:
        line = f"{line}: {', '.join(parts)}"
    return f"{line}{risk_words(report.get('risks', ()))}"


def risk_words(risks: Iterable[Mapping[str, Any]]) -> str:
    """E.g. `; risks: 1 money, 2 stuck, 1 accepted`, the worst first; "" where there is none."""
    words: list[str] = []
    for risk in risks:
        word = str(risk["grade"])
        if risk.get("accepted") is not None:
            word = _ACCEPTED
        words.append(word)
    order = (*RiskGrade, _ACCEPTED)
    counted = [f"{words.count(word)} {word}" for word in order if word in words]
    if not counted:
        return ""
    return f"; risks: {', '.join(counted)}"


def _part(word: str, counts: Mapping[str, int]) -> str:
    part = f"{counts[word]} {word.replace('_', ' ')}"
    schedules = counts.get("schedules")
    if word != "proved" or not schedules:
        return part
    return f"{part} ({count_things(schedules, 'schedule')})"
