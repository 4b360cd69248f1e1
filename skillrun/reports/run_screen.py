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
    # Last: it stands next to the prompt, where a person looks first.
    yield from outcome_lines(report, command)


# -- causes


def _list_causes(report: _Value) -> list[_Cause]:
    """What keeps stages open, each once; what is told of several stages names them all."""
    causes: dict[str, _Cause] = {}
    for stage in report["stages"]:
        for cause in _causes_of(stage, report):
            # A proof that could not be made keeps four stages waiting.
            first = causes.setdefault(cause.text, cause)
            if first is not cause:
                first.stages.append(stage["id"])
    for action in _steps_of_checks(report):
        cause = _Cause([action["stage"]], "pending", action["detail"])
        causes.setdefault(cause.text, cause)
    return sorted(causes.values(), key=_rank_of)


def _rank_of(cause: _Cause) -> int:
    return cause.rank


def _steps_of_checks(report: _Value) -> Iterator[_Value]:
    """Those of no stage: a person has to attest something."""
    stages = set()
    for stage in report["stages"]:
        stages.add(stage["id"])
    for action in report["next"]:
        if action["stage"] not in stages:
            yield action


def _causes_of(stage: _Value, report: _Value) -> list[_Cause]:
    """The stage's own, with the steps that neither a finding nor a risk tells."""
    causes: list[_Cause] = []
    if stage["status"] in _OPEN:
        causes = _from_findings(stage)
    told = tuple(_list_told(stage, causes, report))
    for action in report["next"]:
        is_other = action["stage"] != stage["id"] or action["action"] == "consider"
        # An action repeats the message of its finding, or its hint.
        if is_other or action["detail"].startswith(told):
            continue
        if not causes:
            causes.append(_Cause([stage["id"]], stage["status"], stage["summary"]))
        causes[-1].steps.append(f"{action['action']}: {action['detail']}")
    return causes


def _list_told(stage: _Value, causes: Iterable[_Cause], report: _Value) -> Iterator[str]:
    """How the details begin of actions that would say something again."""
    for cause in causes:
        yield cause.text
        if cause.hint:
            yield cause.hint
    for finding in stage["findings"]:
        yield finding["message"]
    for risk in report.get("risks", ()):
        yield f"{risk['grade']}: {risk['message']}"


def _from_findings(stage: _Value) -> list[_Cause]:
    """One line of code that breaks a rule for several errors is one cause."""
    found: dict[tuple[str, str, str], _Cause] = {}
    for finding in stage["findings"]:
        if finding["severity"] == "note" or finding["rule"].startswith(RISK_RULE):
            continue
        name = (finding["rule"], format_place(finding) or finding["message"], finding["hint"] or "")
        if name in found:
            found[name].alike += 1
        else:
            found[name] = _make_cause(stage, finding)
    return list(found.values())


def _make_cause(stage: _Value, finding: _Value) -> _Cause:
    return _Cause(
        stages=[stage["id"]],
        status=stage["status"],
        text=f"{format_place(finding)}{finding['message']}",
        rule=finding["rule"],
        rank=_rank(finding),
        hint=finding["hint"] or "",
    )


def _rank(finding: _Value) -> int:
    if finding["severity"] == "blocker":
        return _BLOCKER
    if finding["rule"].startswith("proof."):
        return _SEEN
    return _READ


def _cause_lines(cause: _Cause, number: int) -> Iterator[Line]:
    text, rule = cause.text, ""
    if cause.alike:
        text += f" (and {cause.alike} alike)"
    if cause.rule:
        rule = f"  [{cause.rule}]"
    title = f"{number}. {', '.join(cause.stages)}: "
    style = _STYLES.get(cause.status, "")
    yield line(0, ("bold", title), (style, text), ("dim", rule), hang=3)
    if cause.hint:
        yield line(3, ("dim", f"do: {cause.hint}"), hang=7)
    for step in cause.steps:
        yield line(3, ("dim", step), hang=7)


def _count_left(count: int, what: str, command: str | None) -> Iterator[Line]:
    if count > 0:
        said = f"and {count} {what}"
        if command:
            said += f": {command} -v"
        yield line(3, ("dim", said))


# -- what keeps nothing open


def _risk_lines(risks: Iterable[_Value], *, are_in_full: bool) -> Iterator[Line]:
    """Those that nobody has accepted; beside causes only their titles."""
    shown = list(filter(_is_unaccepted, risks))
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


def _is_unaccepted(risk: _Value) -> bool:
    return risk["accepted"] is None


def _list_warnings(report: _Value) -> Iterator[tuple[str, _Value]]:
    """Of stages that are not open: warnings that say what to do, with their stage."""
    for stage in report["stages"]:
        if stage["status"] in _OPEN:
            continue
        for finding in stage["findings"]:
            is_risk = finding["rule"].startswith(RISK_RULE)
            if finding["severity"] == "warning" and finding["hint"] and not is_risk:
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
    if not checks:
        return
    hold = 0
    for check in checks:
        hold += check["status"] in _HOLDS
    yield line(0, ("dim", f"checks: {hold} of {len(checks)} hold"))
