"""JSON Lines after the skill family's telemetry v1: one line for each invocation
(schemas/telemetry.v1.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.ledger.exports.shared import bound_value, json_line
from skillrun.ledger.exports.source import RunRows, Source

# The key in `fields` of a row that came from another tool.
IMPORTED = "imported"
_MOST_FOLLOWUPS = 20
_INPUTS = ("trigger", "idempotency", "retries", "tests_added")
_WHO = ("actor", "actor_kind", "agent", "grade_min")


def format_lines(source: Source) -> Iterator[str]:
    """A line for each invocation that has ended, in the order of the runs' beginnings."""
    for rows in source.read_runs():
        for telemetry, event in rows.list_ended():
            yield json_line(build_record(rows, telemetry, event))


def build_record(
    rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]
) -> dict[str, Any]:
    """The line of one invocation as a value; a row that was imported is what it was."""
    came = telemetry["fields"].get(IMPORTED)
    said = {"run_id": telemetry["run_id"], "outcome": telemetry["outcome"]}
    if came is None:
        said |= _describe_own_invocation(rows, telemetry, event)
    else:
        said |= came
    who = {}
    for key in _WHO:
        if telemetry[key] is not None:
            who[key] = telemetry[key]
    place = {"invocation": telemetry["invocation"], "n": event["n"], "hash": event["hash"]}
    checks = {key: telemetry[f"checks_{key}"] for key in ("attempted", "passed", "failed")}
    value: dict[str, Any] = bound_value(
        {
            "schema_version": "1",
            "ts_utc": telemetry["ts_utc"],
            "repo": telemetry["repo"],
            "git_head": telemetry["git_head"] or "unknown",
            "run_id": said.pop("run_id"),
            "skill_id": telemetry["skill"],
            "intent": said.pop("intent"),
            "inputs": said.pop("inputs"),
            "outputs": said.pop("outputs"),
            "checks": checks,
            "outcome": said.pop("outcome"),
            "duration_ms": telemetry["duration_ms"] or 0,
            **said,
            "skillrun": {**place, **who, "imported": came is not None},
        }
    )
    return value


def _describe_own_invocation(
    rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]
) -> dict[str, Any]:
    """What telemetry v1 wants to know and no column holds."""
    job = rows.run["job"]
    intent = str(rows.run["skill_name"])
    if job:
        intent += f" for job {job}"
    inputs = {"job": job, "spec": rows.run["spec_path"]}
    for key in _INPUTS:
        inputs[key] = telemetry[key]
    return {
        "intent": intent,
        "inputs": {key: value for key, value in inputs.items() if value is not None},
        "outputs": {
            "files_changed": telemetry["files_touched"] or [],
            "commands_ran": _list_commands(rows, telemetry["invocation"]),
        },
        "followups": _list_followups(telemetry, event),
    }


def _list_commands(rows: RunRows, invocation: int) -> list[str]:
    """The command lines that this invocation ran, each once."""
    numbers = set()
    for event in rows.events:
        if event["invocation"] == invocation:
            numbers.add(event["n"])
    ran = []
    for row in rows.evidence:
        if row["role"] == "command" and row["n"] in numbers:
            ran.append(row["path"])
    return list(dict.fromkeys(ran))


def _list_followups(telemetry: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """What the invocation's report said to do next."""
    report = event["data"].get("report") or {}
    asked = []
    for item in report.get("next", ()):
        asked.append(f"{item['stage']}: {item['detail']}")
    for item in report.get("recommendations", ()):
        asked.append(f"run {item['skill']}: {item['reason']}")
    if telemetry["fields"].get("interrupted"):
        asked.insert(0, "it was interrupted: how long it took is not known")
    return asked[:_MOST_FOLLOWUPS]
