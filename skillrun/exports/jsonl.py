"""JSON Lines after the skill family's telemetry v1: one line for each invocation
(schemas/telemetry.v1.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillrun.exports.shared import bounded, json_line
from skillrun.exports.source import RunRows, Source

IMPORTED = "imported"  # the key in `fields` of a row that came from another tool
_FOLLOWUPS = 20
_INPUTS = ("trigger", "idempotency", "retries", "tests_added")
_WHO = ("actor", "actor_kind", "agent", "grade_min")


def lines(source: Source) -> Iterator[str]:
    """A line for each invocation that has ended, in the order of the runs' beginnings."""
    for rows in source.runs():
        for telemetry, event in rows.ended():
            yield json_line(record(rows, telemetry, event))


def record(rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """The line of one invocation as a value; a row that was imported is what it was."""
    came = telemetry["fields"].get(IMPORTED)
    said = {"run_id": telemetry["run_id"], "outcome": telemetry["outcome"]}
    said |= _own(rows, telemetry, event) if came is None else came
    who = {key: telemetry[key] for key in _WHO if telemetry[key] is not None}
    place = {"invocation": telemetry["invocation"], "n": event["n"], "hash": event["hash"]}
    value: dict[str, Any] = bounded(
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
            "checks": {
                key: telemetry[f"checks_{key}"] for key in ("attempted", "passed", "failed")
            },
            "outcome": said.pop("outcome"),
            "duration_ms": telemetry["duration_ms"] or 0,
            **said,
            "skillrun": {**place, **who, "imported": came is not None},
        }
    )
    return value


def _own(rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    job = rows.run["job"]
    inputs = {"job": job, "spec": rows.run["spec_path"], **{key: telemetry[key] for key in _INPUTS}}
    return {
        "intent": f"{rows.run['skill_name']}" + (f" for job {job}" if job else ""),
        "inputs": {key: value for key, value in inputs.items() if value is not None},
        "outputs": {
            "files_changed": telemetry["files_touched"] or [],
            "commands_ran": _commands(rows, telemetry["invocation"]),
        },
        "followups": _followups(telemetry, event),
    }


def _commands(rows: RunRows, invocation: int) -> list[str]:
    """The command lines that this invocation ran, each once."""
    numbers = {event["n"] for event in rows.events if event["invocation"] == invocation}
    ran = (row["path"] for row in rows.evidence if row["role"] == "command" and row["n"] in numbers)
    return list(dict.fromkeys(ran))


def _followups(telemetry: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """What the invocation's report said to do next."""
    report = event["data"].get("report") or {}
    asked = [f"{item['stage']}: {item['detail']}" for item in report.get("next", ())]
    asked += [
        f"run {item['skill']}: {item['reason']}" for item in report.get("recommendations", ())
    ]
    if telemetry["fields"].get("interrupted"):
        asked.insert(0, "it was interrupted: how long it took is not known")
    return asked[:_FOLLOWUPS]
