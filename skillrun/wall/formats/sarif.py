"""A verification as SARIF 2.1.0, as code scanning takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from skillrun.canonical import digest
from skillrun.text import visible
from skillrun.verdict import Finding, Severity
from skillrun.wall.verification import NOT_LOOKED_AT, Verification

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.BLOCKER: "error", Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def sarif(verification: Verification) -> dict[str, Any]:
    """One run; each finding is a result, and what was not looked at is said as a notification, too."""
    findings = list(verification.findings())
    rules = _rules(findings)
    positions = {rule["id"]: number for number, rule in enumerate(rules)}
    driver = {"name": "skillrun", "rules": rules}
    if verification.version:
        driver["version"] = verification.version
    said = [*verification.notes, *([f.message for f in findings if f.rule == NOT_LOOKED_AT])]
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "skillrun/verify/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(verification, said)],
        "results": [_result(finding, positions[finding.rule], verification) for finding in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _invocation(verification: Verification, said: list[str]) -> dict[str, Any]:
    """The run itself came to its end; what the outcome was is a property."""
    notes = [{"level": "note", "message": {"text": visible(text, 2000)}} for text in said]
    outcome = {"commit": verification.commit, "outcome": verification.outcome}
    return {"executionSuccessful": True, "toolExecutionNotifications": notes, "properties": outcome}


def _rules(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The rules of the findings, each with words that help."""
    first = {finding.rule: finding for finding in reversed(list(findings))}
    return [_rule(first[rule]) for rule in sorted(first)]


def _rule(finding: Finding) -> dict[str, Any]:
    words = finding.rule.rpartition(".")[2].replace("-", " ")
    return {
        "id": finding.rule,
        "shortDescription": {"text": f"{words[:1].upper()}{words[1:]}"},
        "help": {"text": help_of(finding)},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
    }


def help_of(finding: Finding) -> str:
    """What the rule looks for and why; for a rule without such words, what to do about this finding."""
    from skillrun.frameworks.registry import FRAMEWORKS
    from skillrun.wall.counting.compare import HELP as TESTS_HELP
    from skillrun.wall.gaming.registry import LOOKS
    from skillrun.wall.proved import HELP

    known = {f"gaming.{look.id}": look.help for look in LOOKS} | HELP | TESTS_HELP
    known |= {rule.id: rule.why for framework in FRAMEWORKS.values() for rule in framework.RULES}
    return known.get(finding.rule) or finding.hint or "skillrun why STAGE says more of it."


def _result(finding: Finding, rule: int, verification: Verification) -> dict[str, Any]:
    hint = f"\nWhat to do: {finding.hint}" if finding.hint else ""
    # Code scanning shows a result at a file: what belongs to none is shown at the first spec.
    path = finding.path or verification.jobs[0].spec
    place: dict[str, Any] = {
        "artifactLocation": {"uri": quote(path, errors="surrogateescape"), "uriBaseId": "%SRCROOT%"}
    }
    place["region"] = {"startLine": max(finding.line or 1, 1)}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": visible(f"{finding.message}{hint}", 4000, lines=True)},
        "locations": [{"physicalLocation": place}],
        # Without the line: the same finding after an edit above it is the same.
        "partialFingerprints": {"skillrun/v1": digest([finding.rule, path, finding.message])},
    }
