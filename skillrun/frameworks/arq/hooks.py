"""What an arq worker calls around a job: on_job_start, on_job_end, after_job_end of its settings.

Source: arq/worker.py `run_job`. None of them is given an exception: only what asks for the job's
result knows of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.arq.workers import MANNER, find_entries
from skillrun.frameworks.common.listed import find_hook
from skillrun.frameworks.common.listed_hooks import Hooks

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project

AROUND = ("on_job_start", "on_job_end", "after_job_end")


HOOKS = Hooks(MANNER, "on_job_start", "after_job_end", asked=frozenset(("result_info", "result")))


def job_hooks(project: Project, handler: Definition) -> tuple[tuple[str, Definition], ...]:
    """(option, function) of the workers that run the handler."""
    found: dict[str, tuple[str, Definition]] = {}
    for entry in find_entries(project, handler):
        for name in AROUND:
            called = find_hook(project, entry.worker, name)
            if called is not None:
                found.setdefault(f"{name} {called.dotted}", (name, called))
    return tuple(found.values())
