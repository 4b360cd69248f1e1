"""What an arq worker calls around a job: on_job_start, on_job_end, after_job_end of its settings.

Source: arq/worker.py `run_job`. None of them is given an exception: only what asks for the job's
result knows of one.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.listed import find_hook
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project

AROUND = ("on_job_start", "on_job_end", "after_job_end")


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> function."""
    found: dict[str, Definition] = {}
    for name, called in job_hooks(project, handler):
        if name == "on_job_start":
            found.setdefault("started", called)
        elif name == "after_job_end" and reads_result(called):
            found.setdefault("failed", called)
    return found


def job_hooks(project: Project, handler: Definition) -> tuple[tuple[str, Definition], ...]:
    """(option, function) of the workers that run the handler."""
    found: dict[str, tuple[str, Definition]] = {}
    for entry in find_entries(project, handler):
        for name in AROUND:
            called = find_hook(project, entry.worker, name)
            if called is not None:
                found.setdefault(f"{name} {called.dotted}", (name, called))
    return tuple(found.values())


def reads_result(called: Definition) -> bool:
    """It asks arq how the job ended: `Job(ctx["job_id"], ctx["redis"]).result_info()`."""
    words = set()
    for node in find_nodes(called.node, ast.Attribute):
        words.add(node.attr)
    return bool(words & {"result_info", "result"})
