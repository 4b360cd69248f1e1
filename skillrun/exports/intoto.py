"""In-toto statements v1 with the test-result predicate v0.1: what a run's last invocation says of a
commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.anchors.intoto import STATEMENT
from skillrun.errors import Refused
from skillrun.exports.shared import bounded, json_line
from skillrun.exports.source import RunRows, Source

PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_PASSED, _WARNED = ("passed", "not_applicable"), ("waived",)


def lines(source: Source) -> Iterator[str]:
    """One statement a line, for each run that has ended. Raises Refused where no run can be spoken
    of.
    """
    found = False
    for rows in source.runs():
        statement = of_run(rows)
        if statement is not None:
            found = True
            yield json_line(statement)
    if not found:
        raise Refused(
            "no run here has ended on a commit",
            hint="an in-toto statement speaks of a commit: commit first",
        )


def of_run(rows: RunRows) -> dict[str, Any] | None:
    """The statement, to be signed by whoever can; None for a run that has not ended, has no commit
    or was imported.
    """
    ended = [(telemetry, event) for telemetry, event in rows.ended() if event["data"].get("report")]
    if not ended or not ended[-1][0]["git_head"]:
        return None
    telemetry, event = ended[-1]
    statement: dict[str, Any] = bounded(
        {
            "_type": STATEMENT,
            "subject": [{"name": "gitCommit", "digest": {"gitCommit": telemetry["git_head"]}}],
            "predicateType": PREDICATE,
            "predicate": _predicate(rows, event),
        }
    )
    return statement


def _predicate(rows: RunRows, event: Mapping[str, Any]) -> dict[str, Any]:
    """FAILED where something is open, WARNED where something is waived or passed with a warning."""
    passed, warned, failed = _tests(event["data"]["report"])
    run = rows.run
    head = f"urn:skillrun:run:{run['run_id']}:event:{event['n']}"
    return {
        "result": "FAILED" if failed else "WARNED" if warned else "PASSED",
        "configuration": [
            {"name": run["skill"], "digest": {"sha256": run["skill_sha"]}},
            {"name": "ledger head", "uri": head, "digest": {"sha256": event["hash"]}},
        ],
        "passedTests": passed,
        "warnedTests": warned,
        "failedTests": failed,
    }


def _tests(report: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """(passed, warned, failed) names: `<stage>` and `check/<id>`."""
    passed: list[str] = []
    warned: list[str] = []
    failed: list[str] = []
    for prefix, items in (("", report["stages"]), ("check/", report["checks"])):
        for item in items:
            doubted = any(finding["severity"] == "warning" for finding in item.get("findings", ()))
            into = (
                passed
                if item["status"] in _PASSED
                else warned
                if item["status"] in _WARNED
                else failed
            )
            (warned if doubted and into is passed else into).append(prefix + item["id"])
    return passed, warned, failed
