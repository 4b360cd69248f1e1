"""OTLP/JSON: a trace for each invocation, after the OpenTelemetry conventions for GenAI.

A stage is a tool that the workflow executes, and an evaluation: its span carries the event
`gen_ai.evaluation.result`. Ids are made from run and event, so that sending twice gives the same
spans. Only what has ended is told: it no longer changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from skillrun import __version__
from skillrun.core.canonical import sha256
from skillrun.core.text import masked, safe_json
from skillrun.ledger.exports.shared import shorten_text
from skillrun.ledger.exports.source import RunRows, Source

SEMCONV = "1.41.0"
"""The last release of the semantic conventions that holds those for GenAI, which are still in
development.

`gen_ai.skill.name` alone is from the repository that they moved to (semantic-conventions-genai
v0.1.0).
"""
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV}"
STAGE, STARTED = "stage.finished", "invocation.started"
_INTERNAL, _ERROR = 1, 2  # SPAN_KIND_INTERNAL, STATUS_CODE_ERROR
_BAD = ("failed", "blocked", "partial")


def format_lines(source: Source) -> Iterator[str]:
    """One ExportTraceServiceRequest as one JSON document."""
    yield '{"resourceSpans":['
    comma = ""
    for resource in resource_spans(source):
        text = json.dumps(safe_json(resource), ensure_ascii=True, separators=(",", ":"))
        yield comma + text
        comma = ","
    yield "]}\n"


def resource_spans(source: Source) -> Iterator[dict[str, Any]]:
    """A ResourceSpans for each run that has spans."""
    for rows in source.read_runs():
        spans: list[dict[str, Any]] = []
        for telemetry, event in rows.list_ended():
            spans += _invocation_spans(rows, telemetry, event)
        if not spans:
            continue
        scope = {
            "scope": {"name": "skillrun", "version": __version__},
            "spans": spans,
            "schemaUrl": SCHEMA_URL,
        }
        yield {
            "resource": {"attributes": _write_attributes(_resource_attributes(rows.run))},
            "scopeSpans": [scope],
            "schemaUrl": SCHEMA_URL,
        }


def _resource_attributes(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "service.name": "skillrun",
        "service.version": run["runner_version"],
        "host.id": run["host_id"],
        "vcs.repository.name": run["repo"].rstrip("/").rpartition("/")[2] or run["repo"],
        "skillrun.repo": run["repo"],
    }


def _invocation_spans(
    rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The root span, then a span for each stage that was examined and for each command that it
    ran.
    """
    run, number = rows.run, telemetry["invocation"]
    mine = [each for each in rows.events if each["invocation"] == number]
    end = event["ts_us"]
    # The duration is in milliseconds: a stage may seem to begin a little before its invocation.
    begin = end - (telemetry["duration_ms"] or 0) * 1000
    for each in mine:
        begin = min(begin, each["ts_us"] - (each["dur_us"] or 0))
    name = f"invoke_workflow {run['skill_name']}"
    root = _build_span(run["run_id"], number, event["n"], name, begin, end)
    root["attributes"] = _write_attributes(_root_attributes(run, telemetry, event))
    root["status"] = _build_status(telemetry["outcome"], telemetry["outcome"])
    if number > 1:
        root["links"] = _links_to(rows, number - 1)
    yield root
    for each in mine:
        if each["type"] == STAGE:
            yield from _stage_spans(rows, each, root)


def _links_to(rows: RunRows, invocation: int) -> list[dict[str, Any]]:
    """The link to the root span of an earlier invocation, which is a trace of its own; none where
    that did not end.
    """
    for telemetry, event in rows.list_ended():
        if telemetry["invocation"] == invocation:
            return [_build_link(rows.run["run_id"], invocation, event["n"])]
    return []


def _root_attributes(
    run: Mapping[str, Any], row: Mapping[str, Any], event: Mapping[str, Any]
) -> dict[str, Any]:
    error = None
    if row["outcome"] in _BAD:
        error = row["outcome"]
    return {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run["skill_name"],
        "gen_ai.conversation.id": run["run_id"],
        "gen_ai.agent.name": row["agent"],
        "gen_ai.skill.name": run["skill_name"],
        "error.type": error,
        "vcs.ref.head.revision": row["git_head"],
        "skillrun.skill.id": run["skill"],
        "skillrun.skill.sha256": run["skill_sha"],
        "skillrun.job": run["job"],
        "skillrun.invocation": row["invocation"],
        "skillrun.outcome": row["outcome"],
        "skillrun.grade": row["grade_min"],
        "skillrun.core.actor": row["actor"],
        "skillrun.core.actor.kind": row["actor_kind"],
        "skillrun.event.n": event["n"],
        "skillrun.event.hash": event["hash"],
    }


def _stage_spans(
    rows: RunRows, event: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    end = event["ts_us"]
    begin = end - (event["dur_us"] or 0)
    run, result = rows.run, event["data"].get("result") or {}
    name = f"execute_tool {event['stage']}"
    span = _build_span(run["run_id"], event["invocation"], event["n"], name, begin, end, root)
    error = None
    if event["outcome"] in _BAD:
        error = event["outcome"]
    span["attributes"] = _write_attributes(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event["stage"],
            "gen_ai.skill.name": run["skill_name"],
            "error.type": error,
            "skillrun.stage": event["stage"],
            "skillrun.status": event["outcome"],
            "skillrun.grade": result.get("grade"),
            "skillrun.fingerprint": event["fingerprint"],
            "skillrun.event.n": event["n"],
            "skillrun.event.hash": event["hash"],
        }
    )
    span["status"] = _build_status(event["outcome"], result.get("summary") or event["outcome"])
    findings = [_finding_event(finding, end) for finding in result.get("findings", ())]
    span["events"] = [*findings, _evaluation_event(event, result, end)]
    yield span
    for row in rows.evidence:
        if row["n"] == event["n"] and row["role"] == "command":
            yield _command_span(rows, event, row, span)


def _evaluation_event(
    event: Mapping[str, Any], result: Mapping[str, Any], at: int
) -> dict[str, Any]:
    attributes = {
        "gen_ai.evaluation.name": event["stage"],
        "gen_ai.evaluation.score.label": event["outcome"],
        "gen_ai.evaluation.explanation": result.get("summary"),
    }
    return {
        "timeUnixNano": _format_nanoseconds(at),
        "name": "gen_ai.evaluation.result",
        "attributes": _write_attributes(attributes),
    }


def _finding_event(finding: Mapping[str, Any], at: int) -> dict[str, Any]:
    attributes = {
        "skillrun.rule": finding["rule"],
        "skillrun.severity": finding["severity"],
        "skillrun.message": finding["message"],
        "code.file.path": finding["path"],
        "code.line.number": finding["line"],
    }
    return {
        "timeUnixNano": _format_nanoseconds(at),
        "name": "skillrun.finding",
        "attributes": _write_attributes(attributes),
    }


def _command_span(
    rows: RunRows, event: Mapping[str, Any], row: Mapping[str, Any], stage: Mapping[str, Any]
) -> dict[str, Any]:
    """When a command began is not recorded: it is drawn at the end of its stage, as long as it
    took.
    """
    detail, end = row["detail"] or {}, event["ts_us"]
    took = int((detail.get("duration_ms") or 0) * 1000)
    stage_began = end - (event["dur_us"] or 0)
    begin = max(end - took, stage_began)
    name = str(detail.get("kind") or "command")
    key = f"{event['n']}.{row['i']}"
    title = f"execute_tool {name}"
    run_id, invocation = rows.run["run_id"], event["invocation"]
    span = _build_span(run_id, invocation, key, title, begin, end, stage)
    code = detail.get("exit_code")
    error = None
    if code:
        error = str(code)
    if detail.get("timed_out"):
        error = "timeout"
    span["attributes"] = _write_attributes(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "error.type": error,
            "process.command_line": row["path"],
            "process.exit.code": code,
            "skillrun.output.sha256": row["sha"],
        }
    )
    outcome = "passed"
    if code:
        outcome = "failed"
    span["status"] = _build_status(outcome, f"exit code {code}")
    return span


# -- the pieces of OTLP


def _build_span(
    run_id: str,
    invocation: int,
    key: int | str,
    name: str,
    begin: int,
    end: int,
    parent: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    span = {"traceId": _trace_id(run_id, invocation), "spanId": _span_id(run_id, key)}
    if parent is not None:
        span["parentSpanId"] = parent["spanId"]
    return {
        **span,
        "name": shorten_text(name),
        "kind": _INTERNAL,
        "startTimeUnixNano": _format_nanoseconds(min(begin, end)),
        "endTimeUnixNano": _format_nanoseconds(end),
    }


def _build_link(run_id: str, invocation: int, key: int) -> dict[str, Any]:
    return {"traceId": _trace_id(run_id, invocation), "spanId": _span_id(run_id, key)}


def _trace_id(run_id: str, invocation: int) -> str:
    return sha256(f"skillrun trace {run_id} {invocation}".encode())[:32]


def _span_id(run_id: str, key: int | str) -> str:
    return sha256(f"skillrun span {run_id} {key}".encode())[:16]


def _build_status(word: str | None, message: str | None) -> dict[str, Any]:
    """Left unset where nothing is wrong, as the conventions ask."""
    if word not in _BAD:
        return {}
    return {"code": _ERROR, "message": shorten_text(masked(message or ""))}


def _write_attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for key, value in values.items():
        if value is not None:
            found.append({"key": key, "value": _write_value(value)})
    return found


def _write_value(value: Any) -> dict[str, Any]:
    """An AnyValue; 64-bit integers are text in OTLP/JSON."""
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": shorten_text(masked(str(value)))}


def _format_nanoseconds(microseconds: int) -> str:
    return str(max(microseconds, 0) * 1000)
