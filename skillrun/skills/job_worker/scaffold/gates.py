"""What must be clean before a scaffold is written, and which findings there it mends itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

GATES = ("identify", "contract", "idempotency")
"""The stages that say what the job is: code written while one of them is open would be a guess."""

MENDED: dict[str, str] = {
    "contract.no-scheduler": (
        "the scheduler's entry, or a crontab line, is part of what is written for a cron trigger"
    ),
    "contract.no-such-error": (
        "an error class of a module of the repository is written with its adapter; one that can be"
        " written nowhere, such as a builtin that does not exist, is what the plan itself finds"
        " missing"
    ),
    "idempotency.no-table": "the dedupe table, and its migration, is part of what is written",
}
"""Rule of a gate -> why a scaffold mends it. Every other finding there is a person's to answer, or is about code that
somebody has written, which a scaffold leaves as it is. What `handler` and the stages after it find never stops one: a
handler, its wiring, an adapter, tests and notes that are missing are just what it writes."""

_STOPS = ("blocker", "error")


def find_obstacles(stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The findings of a report's stages that must be gone before anything is written."""
    closed = []
    for stage in stages:
        if stage["id"] in GATES and stage["status"] in ("blocked", "failed"):
            closed.append(stage)
    found = [finding for stage in closed for finding in stage["findings"]]
    obstacles = []
    for finding in found:
        if finding["severity"] in _STOPS and finding["rule"] not in MENDED:
            obstacles.append(finding)
    return obstacles


def can_be_written(report: Mapping[str, Any]) -> bool:
    """Whether the handler of a report's job is missing, and nothing is in the way of writing it."""
    handlers = []
    for stage in report["stages"]:
        if stage["id"] == "handler" and stage["status"] == "blocked":
            handlers.append(stage)
    rules = []
    for stage in handlers:
        rules += [finding["rule"] for finding in stage["findings"]]
    missing = "handler.not-found" in rules
    return missing and not find_obstacles(report["stages"])
