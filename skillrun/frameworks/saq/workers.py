"""The settings of SAQ's workers, the entries of a handler in them, and what they call around a job.

Sources: saq/worker.py (`Worker`, `import_settings`: a dictionary, or a function that returns one;
functions are known by `__qualname__`, or by the name that a pair gives), saq/job.py (`CronJob`).
"""

from __future__ import annotations

import ast

from skillrun.frameworks.common import listed
from skillrun.frameworks.common.listed import Manner
from skillrun.repo.python import Definition, Project

MANNER = Manner(
    library="saq",
    makers=("saq.Worker", "saq.worker.Worker", "saq.types.SettingsDict"),
    positions=("queue", "functions"),
    wrappers=("saq.CronJob", "saq.job.CronJob"),
    wrapped="function",
    name_entry=lambda kind, function: function,
)


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> function. after_process is called whatever became of the job: only one that asks
    for the exception or the status knows of a failure.
    """
    found: dict[str, Definition] = {}
    for entry in listed.find_entries(project, MANNER, handler):
        before = listed.find_hook(project, entry.worker, "before_process")
        after = listed.find_hook(project, entry.worker, "after_process")
        if before is not None:
            found.setdefault("started", before)
        if after is not None and _asks_for_failure(after):
            found.setdefault("failed", after)
    return found


def _asks_for_failure(hook: Definition) -> bool:
    """`ctx.get("exception")`, `ctx["job"].status`, `ctx["job"].error`."""
    for node in ast.walk(hook.node):
        if isinstance(node, ast.Constant) and node.value == "exception":
            return True
        if isinstance(node, ast.Attribute) and node.attr in ("status", "error"):
            return True
    return False
