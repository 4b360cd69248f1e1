"""What a run leaves open, on one screen: at most five causes with what to do about each, then the
risks, what else is recommended, the checks and the outcome. `lines.py` has everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.reports.lines import (
    Line,
    format_place,
    line,
    outcome_lines,
    recommendation_line,
)
from skillrun.runner.report import RISK_RULE

_Value = Mapping[str, Any]

# A screen has 24 lines, and nine stages stand on it already: what is told in full, and what of it.
_CAUSES, _RISKS, _RISKS_IN_FULL, _WARNINGS = 5, 5, 2, 2
_OPEN = ("blocked", "failed", "pending")
_HOLDS = ("passed", "waived", "not_applicable")
_STYLES = {"blocked": "blocked", "failed": "failed", "pending": "pending"}
_RISK_STYLES = {"money": "failed", "lost": "failed"}
# What somebody has to answer comes first, then what was seen to happen, then what was read.
_BLOCKER, _SEEN, _READ, _STEP = range(4)


@dataclass
class _Cause:
    """One thing to do something about, and the stages that wait for it."""

    stages: list[str]
    status: str
    text: str
    rule: str = ""
    rank: int = _STEP
    hint: str = ""
    steps: list[str] = field(default_factory=list)
    alike: int = 0


def closing_screen(report: _Value, command: str | None = None) -> Iterator[Line]:
    """Causes, risks, recommendations, checks and the outcome. `command` is what was typed."""
    causes = _list_causes(report)
    warnings = list(_list_warnings(report))
    yield line(0)
    for number, cause in enumerate(causes[:_CAUSES], 1):
        yield from _cause_lines(cause, number)
    yield from _count_left(len(causes) - _CAUSES, "more to do", command)
    yield from _risk_lines(report.get("risks", ()), are_in_full=not causes)
    if not causes:
        for stage, finding in warnings[:_WARNINGS]:
            yield from _warning_lines(stage, finding)
        yield from _count_left(len(warnings) - _WARNINGS, "more to consider", command)
    for item in report["recommendations"]:
        yield recommendation_line(item)
    yield from _check_lines(report["checks"])
    yield from outcome_lines(report, command)


# -- causes


def _list_causes(report: _Value) -> list[_Cause]:
    """What keeps stages open, each once; what is told of several stages names them all."""
    causes: dict[str, _Cause] = {}
    stages = {stage["id"] for stage in report["stages"]}
    for stage in report["stages"]:
        steps = [action for action in report["next"] if action["stage"] == stage["id"]]
        for cause in _causes_of(stage, steps, report.get("risks", ())):
            first = causes.setdefault(cause.text, cause)
            if first is not cause:
                first.stages.append(stage["id"])
    for action in report["next"]:
        if action["stage"] not in stages:
            causes.setdefault(
                action["detail"], _Cause([action["stage"]], "pending", action["detail"])
            )
    return sorted(causes.values(), key=lambda cause: cause.rank)


def _causes_of(stage: _Value, steps: Iterable[_Value], risks: Iterable[_Value]) -> list[_Cause]:
    """The stage's own, with the steps that no finding tells."""
    causes: list[_Cause] = []
    if stage["status"] in _OPEN:
        causes = _from_findings(stage)
    told = [cause.text for cause in causes] + [cause.hint for cause in causes]
    told += [f"{risk['grade']}: {risk['message']}" for risk in risks]
    for action in steps:
        if action["action"] == "consider" or _is_told(action["detail"], stage, told):
            continue
        if not causes:
            causes.append(_Cause([stage["id"]], stage["status"], stage["summary"]))
        causes[-1].steps.append(f"{action['action']}: {action['detail']}")
    return causes


def _from_findings(stage: _Value) -> list[_Cause]:
    found: dict[tuple[str, str, str], _Cause] = {}
    for finding in stage["findings"]:
        if finding["severity"] == "note" or finding["rule"].startswith(RISK_RULE):
            continue
        place = format_place(finding)
        # One line of code that breaks a rule for several errors is one cause.
        name = (finding["rule"], place or finding["message"], finding["hint"] or "")
        if name in found:
            found[name].alike += 1
            continue
        found[name] = _Cause(
            [stage["id"]],
            stage["status"],
            f"{place}{finding['message']}",
            finding["rule"],
            _rank(finding),
            finding["hint"] or "",
        )
    return list(found.values())


def _rank(finding: _Value) -> int:
    if finding["severity"] == "blocker":
        return _BLOCKER
    if finding["rule"].startswith("proof."):
        return _SEEN
    return _READ


def _is_told(detail: str, stage: _Value, told: Iterable[str]) -> bool:
    """Whether a finding or a risk says it already: an action repeats its message and its hint."""
    messages = [finding["message"] for finding in stage["findings"]]
    return any(text and detail.startswith(text) for text in (*told, *messages))


def _cause_lines(cause: _Cause, number: int) -> Iterator[Line]:
    alike = ""
    if cause.alike:
        alike = f" (and {cause.alike} alike)"
    yield line(
        0,
        ("bold", f"{number}. {', '.join(cause.stages)}: "),
        (_STYLES.get(cause.status, ""), f"{cause.text}{alike}"),
        ("dim", f"  [{cause.rule}]" if cause.rule else ""),
        hang=3,
    )
    if cause.hint:
        yield line(3, ("dim", f"do: {cause.hint}"), hang=7)
    for step in cause.steps:
        yield line(3, ("dim", step), hang=7)


def _count_left(count: int, what: str, command: str | None) -> Iterator[Line]:
    if count > 0:
        everything = f": {command} -v" if command else ""
        yield line(3, ("dim", f"and {count} {what}{everything}"))


# -- what keeps nothing open


def _risk_lines(risks: Iterable[_Value], *, are_in_full: bool) -> Iterator[Line]:
    """Those that nobody has accepted; beside causes only their titles."""
    shown = [risk for risk in risks if risk["accepted"] is None]
    for number, risk in enumerate(shown[:_RISKS]):
        style = _RISK_STYLES.get(risk["grade"], "pending")
        yield line(
            0,
            (style, f"risk, {risk['grade']}"),
            ("", f": {risk['message']}"),
            ("dim", f"  [{RISK_RULE}{risk['rule']}]"),
            hang=3,
        )
        if are_in_full and number < _RISKS_IN_FULL:
            yield line(3, ("dim", f"close: {risk['closes']}"), hang=7)
            yield line(3, ("dim", f"replay: {risk['replay']}"), hang=7)
    yield from _count_left(len(shown) - _RISKS, "more risks: skillrun prove tells them", None)


def _list_warnings(report: _Value) -> Iterator[tuple[str, _Value]]:
    """Of stages that are not open: warnings that say what to do, with their stage."""
    for stage in report["stages"]:
        for finding in stage["findings"]:
            is_warning = finding["severity"] == "warning" and finding["hint"]
            is_told = stage["status"] in _OPEN or finding["rule"].startswith(RISK_RULE)
            if is_warning and not is_told:
                yield stage["id"], finding


def _warning_lines(stage: str, finding: _Value) -> Iterator[Line]:
    yield line(
        0,
        ("bold", f"{stage}: "),
        ("pending", f"{format_place(finding)}{finding['message']}"),
        ("dim", f"  [{finding['rule']}]"),
        hang=3,
    )
    yield line(3, ("dim", f"consider: {finding['hint']}"), hang=7)


def _check_lines(checks: list[_Value]) -> Iterator[Line]:
    """How many hold; why the others do not is among the causes."""
    if checks:
        hold = [check for check in checks if check["status"] in _HOLDS]
        yield line(0, ("dim", f"checks: {len(hold)} of {len(checks)} hold"))
