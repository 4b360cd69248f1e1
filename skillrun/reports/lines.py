"""A report as lines for a person: indented, each part with a style name; the plain and the live
view print the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skillrun.core.tally import outcome_line
from skillrun.core.text import masked, visible
from skillrun.proof.judgement import Verdict

WORDS = {"not_applicable": "n/a"}
_STYLES = {"blocker": "blocked", "error": "failed", "warning": "pending"}  # by severity
VERDICT_STYLES: dict[str, str] = {
    Verdict.PROVED: "passed",
    Verdict.REFUTED: "failed",
    Verdict.INCOMPLETE: "blocked",
}
# Characters of a part: a message may quote a whole line of minified code.
_LONGEST = 2000
# Of a stage: with their hints they fill most of a screen.
_RISKS_SHOWN = 8
# Below this, how long a stage took says nothing to a person.
_WORTH_SAYING_MS = 100


@dataclass(frozen=True)
class Line:
    """One line: its indent in columns, (style, text) parts, and where it goes on when it is too
    long for a terminal.

    Styles are statuses, `dim`, `bold`, or "".
    """

    indent: int
    parts: tuple[tuple[str, str], ...]
    hang: int
    is_cut: bool = False  # whether a terminal shows its beginning alone

    @property
    def text(self) -> str:
        """As plain text."""
        return " " * self.indent + "".join(text for _, text in self.parts)


def line(indent: int, *parts: tuple[str, str], hang: int | None = None) -> Line:
    """A line; every part is made safe for a terminal. It goes on at column `hang`, else a little
    further in.
    """
    safe = tuple((style, visible(text, limit=_LONGEST)) for style, text in parts)
    if hang is None:
        hang = indent + 2
    return Line(indent, safe, hang)


def header_lines(run: Mapping[str, Any]) -> Iterator[Line]:
    """What runs where."""
    job = ""
    if run["job"] != "-":
        job = f", job {run['job']}"
    yield line(0, ("bold", run["skill"]), ("", job), ("dim", f"  {run['repo']}  run {run['id']}"))


def stage_line(stage: Mapping[str, Any]) -> Line:
    """A stage in one line: its status, its grade and what it found. What has passed is cut where
    a terminal has no room for it.
    """
    return replace(_stage_line(stage), is_cut=stage["status"] == "passed")


def _stage_line(stage: Mapping[str, Any]) -> Line:
    status = stage["status"]
    marks = [("dim", f"{stage['grade'] or '':<9}")]
    if stage["stale"]:
        marks.append(("blocked", "stale "))
    took = ""
    if stage["cached"]:
        took = "  cached"
    elif stage["duration_ms"] >= _WORTH_SAYING_MS:
        took = f"  {stage['duration_ms'] / 1000:.1f}s"
    return line(
        2,
        (status, f"{_word_for_status(status):<8} "),
        ("bold", f"{stage['id']:<14} "),
        *marks,
        ("", stage["summary"]),
        ("dim", took),
        hang=11,
    )


def stage_lines(stage: Mapping[str, Any]) -> Iterator[Line]:
    """A stage, and below it each finding with place and hint."""
    yield _stage_line(stage)
    risks = 0
    for finding in stage["findings"]:
        risks += finding["rule"].startswith("risk.")
        if not finding["rule"].startswith("risk.") or risks <= _RISKS_SHOWN:
            yield from finding_lines(finding)
    if risks > _RISKS_SHOWN:
        yield line(11, ("dim", f"and {risks - _RISKS_SHOWN} more risks: --json has them all"))


def finding_lines(finding: Mapping[str, Any], indent: int = 11) -> Iterator[Line]:
    """Where and what, then what to do."""
    style = _STYLES.get(finding["severity"], "dim")
    yield line(
        indent,
        (style, f"{format_place(finding)}{finding['message']}"),
        ("dim", f"  [{finding['severity']}: {finding['rule']}]"),
    )
    if finding["hint"]:
        yield line(indent + 2, ("dim", f"do: {finding['hint']}"))


def disagreement_lines(stage: Mapping[str, Any]) -> Iterator[Line]:
    """What was read of a stage and then shown to be wrong by its proof."""
    for found in stage.get("disagreements", ()):
        shown = (("dim", f"read: {format_place(found)}{found['read']}  [{found['rule']}]"),)
        yield line(11, *shown)
        said = f"not so: {found['proof']} under {found['schedules']} schedules"
        yield line(13, ("passed", said), ("dim", "; skillrun was wrong here"))


def format_place(finding: Mapping[str, Any]) -> str:
    """ "path:line: ", or nothing."""
    if not finding["path"]:
        return ""
    if not finding["line"]:
        return f"{finding['path']}: "
    return f"{finding['path']}:{finding['line']}: "


def closing_lines(report: Mapping[str, Any], command: str | None = None) -> Iterator[Line]:
    """Checks, recommendations, what to do next, and the outcome."""
    if report["checks"]:
        yield line(0)
        yield line(0, ("bold", "Checks"))
        for check in report["checks"]:
            yield line(
                2,
                (check["status"], f"{_word_for_status(check['status']):<8} "),
                ("dim", f"{check['grade'] or '':<9}"),
                ("", check["text"]),
                hang=20,
            )
    yield from _recommendation_lines(report["recommendations"])
    yield from next_lines(report["next"])
    yield from outcome_lines(report, command)


def _recommendation_lines(recommendations: list[Mapping[str, Any]]) -> Iterator[Line]:
    if recommendations:
        yield line(0)
        yield line(0, ("bold", "Recommended skills"))
    for item in recommendations:
        state = _state_of_recommendation(item)
        yield line(2, ("", f"{item['skill']} ({state}): {item['reason']}"))


def recommendation_line(item: Mapping[str, Any]) -> Line:
    """Another skill that the work calls for, and why."""
    state = _state_of_recommendation(item)
    return line(0, ("bold", "recommended: "), ("", f"{item['skill']} ({state}): {item['reason']}"))


def _state_of_recommendation(item: Mapping[str, Any]) -> str:
    if item["satisfied_by"]:
        return f"satisfied by {item['satisfied_by']}"
    if item["waived"]:
        return f"waived: {item['waived']}"
    if item["installed"]:
        return "installed"
    return "not installed"


def next_lines(actions: list[Mapping[str, Any]]) -> Iterator[Line]:
    """The numbered steps."""
    if actions:
        yield line(0)
        yield line(0, ("bold", "Next"))
    for number, action in enumerate(actions, 1):
        yield line(
            2,
            ("", f"{number}. {action['stage']}: "),
            ("dim", f"{action['action']}: "),
            ("", action["detail"]),
            hang=5,
        )


def outcome_lines(report: Mapping[str, Any], command: str | None) -> Iterator[Line]:
    """The outcome with its counts, and what to type after the work."""
    outcome = report["outcome"]
    style = {"success": "passed", "partial": "failed", "blocked": "blocked"}[outcome]
    yield line(0)
    yield line(0, (style, outcome_line(report)))
    if outcome != "success" and command:
        # What was typed may hold a secret (--set), and this line ends in logs.
        yield line(0, ("dim", f"then again: {masked(command)}"))


def _word_for_status(status: str) -> str:
    return WORDS.get(status, status)
