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
from skillrun.canonical import sha256
from skillrun.exports.shared import short
from skillrun.exports.source import RunRows, Source
from skillrun.text import masked, safe_json

SEMCONV = "1.41.0"
"""The last release of the semantic conventions that holds those for GenAI, which are still in development.

`gen_ai.skill.name` alone is from the repository that they moved to (semantic-conventions-genai v0.1.0).
"""
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV}"
STAGE, STARTED = "stage.finished", "invocation.started"
_INTERNAL, _ERROR = 1, 2  # SPAN_KIND_INTERNAL, STATUS_CODE_ERROR
_BAD = ("failed", "blocked", "partial")


def lines(source: Source) -> Iterator[str]:
    """One ExportTraceServiceRequest as one JSON document."""
    yield '{"resourceSpans":['
    for number, resource in enumerate(resource_spans(source)):
        yield ("," if number else "") + json.dumps(
            safe_json(resource), ensure_ascii=True, separators=(",", ":")
        )
    yield "]}\n"


def resource_spans(source: Source) -> Iterator[dict[str, Any]]:
    """A ResourceSpans for each run that has spans."""
    for rows in source.runs():
        spans = [
            span
            for telemetry, event in rows.ended()
            for span in _invocation(rows, telemetry, event)
        ]
        if spans:
            yield {
                "resource": {"attributes": _attributes(_resource(rows.run))},
                "scopeSpans": [
                    {
                        "scope": {"name": "skillrun", "version": __version__},
                        "spans": spans,
                        "schemaUrl": SCHEMA_URL,
                    }
                ],
                "schemaUrl": SCHEMA_URL,
            }


def _resource(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "service.name": "skillrun",
        "service.version": run["runner_version"],
        "host.id": run["host_id"],
        "vcs.repository.name": run["repo"].rstrip("/").rpartition("/")[2] or run["repo"],
        "skillrun.repo": run["repo"],
    }


def _invocation(
    rows: RunRows, telemetry: Mapping[str, Any], event: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The root span, then a span for each stage that was examined and for each command that it
    ran.
    """
    run, number = rows.run, telemetry["invocation"]
    mine = [each for each in rows.events if each["invocation"] == number]
    end = event["ts_us"]
    begin = min(
        [
            end - (telemetry["duration_ms"] or 0) * 1000,
            *(e["ts_us"] - (e["dur_us"] or 0) for e in mine),
        ]
    )
    root = _span(
        run["run_id"], number, event["n"], f"invoke_workflow {run['skill_name']}", begin, end
    )
    root["attributes"] = _attributes(_root_attributes(run, telemetry, event))
    root["status"] = _status(telemetry["outcome"], telemetry["outcome"])
    if number > 1:
        before = next((e for t, e in rows.ended() if t["invocation"] == number - 1), None)
        root["links"] = [] if before is None else [_link(run["run_id"], number - 1, before["n"])]
    yield root
    for stage in (each for each in mine if each["type"] == STAGE):
        yield from _stage(rows, stage, root)


def _root_attributes(
    run: Mapping[str, Any], row: Mapping[str, Any], event: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run["skill_name"],
        "gen_ai.conversation.id": run["run_id"],
        "gen_ai.agent.name": row["agent"],
        "gen_ai.skill.name": run["skill_name"],
        "error.type": row["outcome"] if row["outcome"] in _BAD else None,
        "vcs.ref.head.revision": row["git_head"],
        "skillrun.skill.id": run["skill"],
        "skillrun.skill.sha256": run["skill_sha"],
        "skillrun.job": run["job"],
        "skillrun.invocation": row["invocation"],
        "skillrun.outcome": row["outcome"],
        "skillrun.grade": row["grade_min"],
        "skillrun.actor": row["actor"],
        "skillrun.actor.kind": row["actor_kind"],
        "skillrun.event.n": event["n"],
        "skillrun.event.hash": event["hash"],
    }


def _stage(
    rows: RunRows, event: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    end = event["ts_us"]
    begin = end - (event["dur_us"] or 0)
    run, result = rows.run, event["data"].get("result") or {}
    span = _span(
        run["run_id"],
        event["invocation"],
        event["n"],
        f"execute_tool {event['stage']}",
        begin,
        end,
        root,
    )
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": event["stage"],
            "gen_ai.skill.name": run["skill_name"],
            "error.type": event["outcome"] if event["outcome"] in _BAD else None,
            "skillrun.stage": event["stage"],
            "skillrun.status": event["outcome"],
            "skillrun.grade": result.get("grade"),
            "skillrun.fingerprint": event["fingerprint"],
            "skillrun.event.n": event["n"],
            "skillrun.event.hash": event["hash"],
        }
    )
    span["status"] = _status(event["outcome"], result.get("summary") or event["outcome"])
    findings = [_finding(finding, end) for finding in result.get("findings", ())]
    span["events"] = [*findings, _evaluation(event, result, end)]
    yield span
    for row in rows.evidence:
        if row["n"] == event["n"] and row["role"] == "command":
            yield _command(rows, event, row, span)


def _evaluation(event: Mapping[str, Any], result: Mapping[str, Any], at: int) -> dict[str, Any]:
    attributes = {
        "gen_ai.evaluation.name": event["stage"],
        "gen_ai.evaluation.score.label": event["outcome"],
        "gen_ai.evaluation.explanation": result.get("summary"),
    }
    return {
        "timeUnixNano": _nano(at),
        "name": "gen_ai.evaluation.result",
        "attributes": _attributes(attributes),
    }


def _finding(finding: Mapping[str, Any], at: int) -> dict[str, Any]:
    attributes = {
        "skillrun.rule": finding["rule"],
        "skillrun.severity": finding["severity"],
        "skillrun.message": finding["message"],
        "code.file.path": finding["path"],
        "code.line.number": finding["line"],
    }
    return {
        "timeUnixNano": _nano(at),
        "name": "skillrun.finding",
        "attributes": _attributes(attributes),
    }


def _command(
    rows: RunRows, event: Mapping[str, Any], row: Mapping[str, Any], stage: Mapping[str, Any]
) -> dict[str, Any]:
    """When a command began is not recorded: it is drawn at the end of its stage, as long as it
    took.
    """
    detail, end = row["detail"] or {}, event["ts_us"]
    begin = max(
        end - int((detail.get("duration_ms") or 0) * 1000), event["ts_us"] - (event["dur_us"] or 0)
    )
    name = str(detail.get("kind") or "command")
    key = f"{event['n']}.{row['i']}"
    span = _span(
        rows.run["run_id"], event["invocation"], key, f"execute_tool {name}", begin, end, stage
    )
    code = detail.get("exit_code")
    span["attributes"] = _attributes(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "error.type": "timeout" if detail.get("timed_out") else str(code) if code else None,
            "process.command_line": row["path"],
            "process.exit.code": code,
            "skillrun.output.sha256": row["sha"],
        }
    )
    span["status"] = _status("failed" if code else "passed", f"exit code {code}")
    return span


# -- the pieces of OTLP


def _span(
    run_id: str,
    invocation: int,
    key: int | str,
    name: str,
    begin: int,
    end: int,
    parent: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "traceId": _trace_id(run_id, invocation),
        "spanId": _span_id(run_id, key),
        **({} if parent is None else {"parentSpanId": parent["spanId"]}),
        "name": short(name),
        "kind": _INTERNAL,
        "startTimeUnixNano": _nano(min(begin, end)),
        "endTimeUnixNano": _nano(end),
    }


def _link(run_id: str, invocation: int, key: int) -> dict[str, Any]:
    return {"traceId": _trace_id(run_id, invocation), "spanId": _span_id(run_id, key)}


def _trace_id(run_id: str, invocation: int) -> str:
    return sha256(f"skillrun trace {run_id} {invocation}".encode())[:32]


def _span_id(run_id: str, key: int | str) -> str:
    return sha256(f"skillrun span {run_id} {key}".encode())[:16]


def _status(word: str | None, message: str | None) -> dict[str, Any]:
    """Left unset where nothing is wrong, as the conventions ask."""
    return {"code": _ERROR, "message": short(masked(message or ""))} if word in _BAD else {}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": _value(value)} for key, value in values.items() if value is not None
    ]


def _value(value: Any) -> dict[str, Any]:
    """An AnyValue; 64-bit integers are text in OTLP/JSON."""
    return (
        {"intValue": str(value)}
        if isinstance(value, int)
        else {"stringValue": short(masked(str(value)))}
    )


def _nano(microseconds: int) -> str:
    return str(max(microseconds, 0) * 1000)
