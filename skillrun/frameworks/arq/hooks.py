"""What an arq worker calls around a job: on_job_start, on_job_end, after_job_end of its settings.

Source: arq/worker.py `run_job`. None of them is given an exception: only what asks for the job's result knows of one.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.workers import find_entries

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project

AROUND = ("on_job_start", "on_job_end", "after_job_end")


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> function."""
    found: dict[str, Definition] = {}
    for name, hook in job_hooks(project, handler):
        if name == "on_job_start":
            found.setdefault("started", hook)
        elif name == "after_job_end" and reads_result(hook):
            found.setdefault("failed", hook)
    return found


def job_hooks(project: Project, handler: Definition) -> tuple[tuple[str, Definition], ...]:
    """(option, function) of the workers that run the handler."""
    found: dict[str, tuple[str, Definition]] = {}
    for entry in find_entries(project, handler):
        for name in AROUND:
            option = entry.worker.option(name)
            hook = project.definition(option[1].resolve(option[0]) or "") if option else None
            if hook is not None and not hook.is_class:
                found.setdefault(f"{name} {hook.dotted}", (name, hook))
    return tuple(found.values())


def reads_result(hook: Definition) -> bool:
    """It asks arq how the job ended: `Job(ctx["job_id"], ctx["redis"]).result_info()`."""
    words = {node.attr for node in ast.walk(hook.node) if isinstance(node, ast.Attribute)}
    return bool(words & {"result_info", "result"})
