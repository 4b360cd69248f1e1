"""A verification as an in-toto Statement v1 with the test-result predicate v0.1, ready to be signed
by whoever can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from skillrun.core.verdict import Finding, Severity
from skillrun.ledger.anchoring.intoto import STATEMENT
from skillrun.ledger.exports.intoto import PREDICATE
from skillrun.wall.verification import SUCCESS, Verification


def intoto(verification: Verification) -> dict[str, Any]:
    """FAILED where the outcome is no success; WARNED where a finding is a warning, e.g. that a
    proof is incomplete.
    """
    passed, warned, failed = _sort_by_result(verification)
    result = "PASSED"
    if warned:
        result = "WARNED"
    # Also where the base's baseline knows all of it: that a job is refuted is known, and no pass.
    if verification.outcome != SUCCESS:
        result = "FAILED"
    specs = []
    for job in verification.jobs:
        specs.append({"name": job.spec, "digest": {"sha256": job.spec_sha256}})
    return {
        "_type": STATEMENT,
        "subject": [{"name": "gitCommit", "digest": {"gitCommit": verification.commit}}],
        "predicateType": PREDICATE,
        "predicate": {
            "result": result,
            "configuration": specs,
            "passedTests": passed,
            "warnedTests": warned,
            "failedTests": failed,
        },
    }


def _sort_by_result(verification: Verification) -> tuple[list[str], list[str], list[str]]:
    """(passed, warned, failed) names: `<job>/<stage>`, `<job>/check/<id>` and `gaming/<look>`."""
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    kinds = {
        "passed": passed,
        "not_applicable": passed,
        "failed": failed,
        "blocked": failed,
        "waived": warned,
        "pending": failed,
    }
    for job in verification.jobs:
        if job.problem is not None:
            failed.append(f"{job.name}/run")
        for stage in job.stages:
            into = kinds[stage["status"]]
            # What passed with a warning counts as warned.
            severities = [found["severity"] for found in stage["findings"]]
            if into is passed and "warning" in severities:
                into = warned
            into.append(f"{job.name}/{stage['id']}")
        for check in job.checks:
            kinds[check["status"]].append(f"{job.name}/check/{check['id']}")
        if job.proof is not None:
            into = failed if job.proof.findings else passed
            into.append(f"{job.name}/proof")
    _add_gaming(verification, passed, warned, failed)
    return passed, warned, failed


def _add_gaming(
    verification: Verification, passed: list[str], warned: list[str], failed: list[str]
) -> None:
    gaming = verification.gaming
    tests = verification.tests
    if tests is not None and (tests.missing is None or tests.findings):
        _list_for(tests.findings, passed, warned, failed).append("tests/counted")
    if gaming.missing is not None:
        warned.append("gaming/not-looked-at")
    elif not gaming.looks:
        failed.append("gaming/not-looked-at")
    for look in gaming.looks:
        _list_for(gaming.of(look), passed, warned, failed).append(f"gaming/{look}")


def _list_for(
    found: Iterable[Finding], passed: list[str], warned: list[str], failed: list[str]
) -> list[str]:
    """The list that the worst of the findings decides for."""
    severities = {finding.severity for finding in found}
    if severities & {Severity.ERROR, Severity.BLOCKER}:
        return failed
    if Severity.WARNING in severities:
        return warned
    return passed
