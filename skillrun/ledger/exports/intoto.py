"""In-toto statements v1 with the test-result predicate v0.1: what a run's last invocation says of a
commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.core.errors import Refused
from skillrun.ledger.anchoring.intoto import STATEMENT
from skillrun.ledger.exports.shared import bound_value, json_line
from skillrun.ledger.exports.source import RunRows, Source

PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_PASSED, _WARNED = ("passed", "not_applicable"), ("waived",)


def format_lines(source: Source) -> Iterator[str]:
    """One statement a line, for each run that has ended. Raises Refused where no run can be spoken
    of.
    """
    found = False
    for rows in source.read_runs():
        statement = build_statement(rows)
        if statement is not None:
            found = True
            yield json_line(statement)
    if not found:
        raise Refused(
            "no run here has ended on a commit",
            hint="an in-toto statement speaks of a commit: commit first",
        )


def build_statement(rows: RunRows) -> dict[str, Any] | None:
    """The statement, to be signed by whoever can; None for a run that has not ended, has no commit
    or was imported.
    """
    reported = []
    for telemetry, event in rows.list_ended():
        # What was imported has no report of ours.
        if event["data"].get("report"):
            reported.append((telemetry, event))
    if not reported:
        return None
    telemetry, event = reported[-1]
    if not telemetry["git_head"]:
        return None
    statement: dict[str, Any] = bound_value(
        {
            "_type": STATEMENT,
            "subject": [{"name": "gitCommit", "digest": {"gitCommit": telemetry["git_head"]}}],
            "predicateType": PREDICATE,
            "predicate": _build_predicate(rows, event),
        }
    )
    return statement


def _build_predicate(rows: RunRows, event: Mapping[str, Any]) -> dict[str, Any]:
    """FAILED where something is open, WARNED where something is waived or passed with a warning."""
    passed, warned, failed = _sort_by_result(event["data"]["report"])
    result = "PASSED"
    if warned:
        result = "WARNED"
    if failed:
        result = "FAILED"
    run = rows.run
    head = f"urn:skillrun:run:{run['run_id']}:event:{event['n']}"
    return {
        "result": result,
        "configuration": [
            {"name": run["skill"], "digest": {"sha256": run["skill_sha"]}},
            {"name": "ledger head", "uri": head, "digest": {"sha256": event["hash"]}},
        ],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }


def _sort_by_result(report: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """(passed, warned, failed) names: `<stage>` and `check/<id>`."""
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    for prefix, items in (("", report["stages"]), ("check/", report["checks"])):
        for item in items:
            name = prefix + item["id"]
            if item["status"] in _PASSED:
                # Passed with a warning counts as warned.
                if _has_warning(item):
                    into = warned
                else:
                    into = passed
                into.append(name)
            elif item["status"] in _WARNED:
                warned.append(name)
            else:
                failed.append(name)
    return passed, warned, failed


def _has_warning(item: Mapping[str, Any]) -> bool:
    return any(finding["severity"] == "warning" for finding in item.get("findings", ()))
