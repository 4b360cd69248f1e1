"""Writes a job: handler, store, tests and notes. Fits `runner.coded.Writer`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.scaffold.gates import GATES as GATES
from skillrun.skills.job_worker.scaffold.gates import can_be_written as can_be_written
from skillrun.skills.job_worker.scaffold.gates import find_obstacles as find_obstacles
from skillrun.skills.job_worker.scaffold.machine import mark_proof as mark_proof
from skillrun.skills.job_worker.scaffold.manner import formatting
from skillrun.skills.job_worker.scaffold.plan import plan

if TYPE_CHECKING:
    from skillrun.runner.case import AskConsent
    from skillrun.runner.changes import Plan
    from skillrun.skills.job_worker.job_case import JobCase

STAGE = "handler"


def plan_changes(case: JobCase) -> Plan:
    """The job's files. Raises Refused for what can never be written."""
    return plan(case)


def format_files(
    case: JobCase, written: Plan, ask: AskConsent, on_line: Callable[[str], None]
) -> tuple[str, ...]:
    """The repository's formatters over the Python files of a plan."""
    paths = []
    for change in written.changes:
        if change.path.endswith(".py"):
            paths.append(change.path)
    return formatting.format_files(case.root, paths, written.formatters, ask, on_line)
