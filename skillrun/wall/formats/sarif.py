"""A verification as SARIF 2.1.0, as code scanning takes it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any
from urllib.parse import quote

from skillrun.core.canonical import digest
from skillrun.core.text import visible
from skillrun.core.verdict import Finding, Severity
from skillrun.wall.source import installed_source
from skillrun.wall.verification import NOT_LOOKED_AT, Verification

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {
    Severity.BLOCKER: "error",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}


def sarif(verification: Verification) -> dict[str, Any]:
    """One run; each finding is a result, and what was not looked at is said as a notification,
    too.
    """
    findings = list(verification.findings())
    rules = _list_rules(findings)
    positions = {rule["id"]: number for number, rule in enumerate(rules)}
    driver = {
        "name": "skillrun",
        "informationUri": _information_uri(verification.version),
        "rules": rules,
    }
    if verification.version:
        driver["version"] = verification.version
    said = list(verification.notes)
    for finding in findings:
        if finding.rule == NOT_LOOKED_AT:
            said.append(finding.message)
    results = []
    for finding in findings:
        results.append(_build_result(finding, positions[finding.rule], verification))
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "skillrun/verify/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_build_invocation(verification, said)],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _information_uri(version: str) -> str:
    """Where to read of the tool: the repository that it was installed from, where pip has recorded
    one.

    skillrun has no published home, and a web address that somebody else could take would be a lie.
    Else it is its name, in the same way as its schemas are named.
    """
    source = installed_source()
    if source is not None:
        return source.removeprefix("git+").rpartition("@")[0]
    return f"urn:skillrun:tool:{quote(version or 'unknown')}"


def _build_invocation(verification: Verification, said: list[str]) -> dict[str, Any]:
    """The run itself came to its end; what the outcome was is a property."""
    notes = []
    for text in said:
        notes.append({"level": "note", "message": {"text": visible(text, 2000)}})
    outcome = {"commit": verification.commit, "outcome": verification.outcome}
    return {"executionSuccessful": True, "toolExecutionNotifications": notes, "properties": outcome}


def _list_rules(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The rules of the findings, each with words that help."""
    # From the last to the first: of each rule the first finding is kept.
    first = {finding.rule: finding for finding in reversed(list(findings))}
    return [_build_rule(first[rule]) for rule in sorted(first)]


def _build_rule(finding: Finding) -> dict[str, Any]:
    words = finding.rule.rpartition(".")[2].replace("-", " ")
    return {
        "id": finding.rule,
        "shortDescription": {"text": f"{words[:1].upper()}{words[1:]}"},
        "fullDescription": {"text": _description_of(finding)},
        "help": {"text": help_of(finding)},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
    }


# How the findings of a rule come about, by the first word of its id; the others are read from the
# code.
_FOUND_BY = {
    "gaming": (
        "The change takes evidence away: compared with the base branch, less is demanded or shown."
    ),
    "proof": "Seen when the job's own handler was run under fault injection.",
    "risk": (
        "Seen when the job's own handler was run under fault injection: no promise of its spec covers it."
    ),
    "tests": (
        "Seen when the tests of the handler were read, and run against a handler that is broken on"
        " purpose."
    ),
    "validate": "Seen when the repository's own validations were run.",
    "verify": "The job could not be verified from scratch.",
}
_READ = "Read from the code of the repository, compared with the job's spec."


def _description_of(finding: Finding) -> str:
    """What a rule is about, whatever it has found here."""
    kind = finding.rule.partition(".")[0]
    return _known_help().get(finding.rule) or _FOUND_BY.get(kind, _READ)


def help_of(finding: Finding) -> str:
    """What the rule looks for and why; for a rule without such words, what to do about this
    finding.
    """
    return _known_help().get(finding.rule) or finding.hint or "skillrun why STAGE says more of it."


@cache
def _known_help() -> dict[str, str]:
    """Rule -> what it looks for and why."""
    from skillrun.frameworks.registry import FRAMEWORKS
    from skillrun.wall.compared_publishers import HELP as PUBLISHERS_HELP
    from skillrun.wall.compared_rows import HELP as ROWS_HELP
    from skillrun.wall.compared_runs import HELP as RUNS_HELP
    from skillrun.wall.counting.compare import HELP as TESTS_HELP
    from skillrun.wall.deploys import HELP as DEPLOYS_HELP
    from skillrun.wall.gaming.registry import LOOKS
    from skillrun.wall.new_sweeps import HELP as SWEEPS_HELP
    from skillrun.wall.noticing.compare import HELP as NOTICING_HELP
    from skillrun.wall.planting.compare import HELP as CHECKS_HELP
    from skillrun.wall.proved import HELP
    from skillrun.wall.surroundings import HELP as CHANGED_HELP
    from skillrun.wall.variables import HELP as VARIABLES_HELP

    known = (
        {f"gaming.{look.id}": look.help for look in LOOKS}
        | HELP
        | TESTS_HELP
        | CHANGED_HELP
        | NOTICING_HELP
        | CHECKS_HELP
        | RUNS_HELP
        | ROWS_HELP
        | PUBLISHERS_HELP
        | DEPLOYS_HELP
        | SWEEPS_HELP
        | VARIABLES_HELP
    )
    for framework in FRAMEWORKS.values():
        known |= {rule.id: rule.why for rule in framework.list_rules()}
    return known


def _build_result(finding: Finding, rule: int, verification: Verification) -> dict[str, Any]:
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
