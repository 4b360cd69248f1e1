"""A verification as JUnit XML: a suite for each job with a case for each stage and check, and one
for the changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from skillrun.core.text import visible
from skillrun.core.verdict import Finding, Severity
from skillrun.wall.verification import Gaming, Job, Tests, Verification

# XML 1.0 has no place for these, not even escaped; `visible` has made most of them plain already.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {
    "failed": "failure",
    "blocked": "error",
    "pending": "skipped",
    "waived": "skipped",
    "not_applicable": "skipped",
}


def junit(verification: Verification) -> str:
    """The document, with its XML declaration."""
    root = Element("testsuites", name="skillrun verify")
    for job in verification.jobs:
        _job_suite(root, job)
    if verification.tests is not None:
        _tests_suite(root, verification.tests)
    _gaming_suite(root, verification.gaming)
    suites = root.findall("testsuite")
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    if suites and verification.notes:
        SubElement(suites[-1], "system-out").text = _clean_text("\n".join(verification.notes))
    indent(root)
    body = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _job_suite(root: Element, job: Job) -> None:
    suite = _add_suite(root, f"job {job.name}")
    if job.problem is not None:
        case = _add_case(suite, f"{job.name}.stages", "run")
        _mark_case(case, "error", f"refused: {job.problem}", job.hint or "")
    for stage in job.stages:
        case = _add_case(suite, f"{job.name}.stages", stage["id"], stage["duration_ms"])
        _stage_marks(case, stage)
    for check in job.checks:
        case = _add_case(suite, f"{job.name}.checks", check["id"])
        if check["status"] in _KINDS:
            _mark_case(case, _KINDS[check["status"]], f"{check['status']}: {check['text']}", "")
    if job.proof is not None:
        _finding_case(suite, f"{job.name}.wall", "proof", job.proof.findings)
    _count_cases(suite)


def _stage_marks(case: Element, stage: Mapping[str, Any]) -> None:
    shown = [_describe_finding(f) for f in stage["findings"]]
    if stage["status"] in _KINDS:
        said = f"{stage['status']}: {stage['summary']}"
        _mark_case(case, _KINDS[stage["status"]], said, "\n".join(shown))
    elif shown:
        SubElement(case, "system-out").text = _clean_text("\n".join(shown))


def _gaming_suite(root: Element, gaming: Gaming) -> None:
    """One case for each look; all skipped where nothing was looked at."""
    from skillrun.wall.gaming.registry import LOOKS

    suite = _add_suite(root, "gaming")
    for look in LOOKS:
        case = _add_case(suite, "gaming", look.id)
        if gaming.missing is not None:
            _mark_case(case, "skipped", f"not looked at: {gaming.missing}", "")
            continue
        _finding_marks(case, gaming.of(look.id))
    _count_cases(suite)


def _tests_suite(root: Element, tests: Tests) -> None:
    suite = _add_suite(root, "tests")
    case = _add_case(suite, "tests", "counted")
    if tests.missing is not None and not tests.findings:
        _mark_case(case, "skipped", f"not counted: {tests.missing}", "")
    else:
        _finding_marks(case, tests.findings)
    _count_cases(suite)


def _finding_case(suite: Element, group: str, name: str, found: Sequence[Finding]) -> None:
    _finding_marks(_add_case(suite, group, name), found)


def _finding_marks(case: Element, found: Sequence[Finding]) -> None:
    """A failure where one of them is an error; else they are what the case printed."""
    text = "\n".join(_describe_finding(_as_mapping(finding)) for finding in found)
    if any(finding.severity in (Severity.ERROR, Severity.BLOCKER) for finding in found):
        _mark_case(case, "failure", found[0].message, text)
    elif found:
        SubElement(case, "system-out").text = _clean_text(text)


def _add_suite(root: Element, name: str) -> Element:
    return SubElement(
        root, "testsuite", name=_clean_text(name), tests="0", failures="0", errors="0", skipped="0"
    )


def _add_case(suite: Element, group: str, name: str, duration_ms: int = 0) -> Element:
    time = f"{duration_ms / 1000:.3f}"
    return SubElement(
        suite, "testcase", classname=_clean_text(group), name=_clean_text(name), time=time
    )


def _mark_case(case: Element, kind: str, message: str, text: str) -> None:
    attributes = {"message": _clean_text(message)}
    # The schema has no type for a skipped case.
    if kind != "skipped":
        attributes["type"] = kind
    SubElement(case, kind, attributes).text = _clean_text(text) or None


def _count_cases(suite: Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(sum(1 for case in cases if case.find(kind) is not None)))


def _describe_finding(finding: Mapping[str, Any]) -> str:
    from skillrun.reports.lines import format_place

    hint = f"\n  do: {finding['hint']}" if finding["hint"] else ""
    rule = f"[{finding['severity']}: {finding['rule']}]"
    return f"{format_place(finding)}{finding['message']} {rule}{hint}"


def _as_mapping(finding: Finding) -> Mapping[str, Any]:
    from skillrun.runner.report import finding_json

    return finding_json(finding)


def _clean_text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", visible(text, 20_000, lines=True))
