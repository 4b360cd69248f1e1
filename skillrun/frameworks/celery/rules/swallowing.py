"""A rule about the soft time limit: its exception is an ordinary one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.rules.facts import say, task_of
from skillrun.frameworks.common.facts import known
from skillrun.frameworks.common.swallowing import declare_swallowing_rules
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler
from skillrun.repo.uses import Place

_SOFT_LIMIT = "billiard.exceptions.SoftTimeLimitExceeded"
_SOFT_LIMIT_NAMES = {_SOFT_LIMIT, "celery.exceptions.SoftTimeLimitExceeded"}


@rule("celery.soft-time-limit-swallowed", stage="retry", source="perma#2032, celery/billiard#240")
def soft_time_limit_swallowed(job: Job) -> Iterator[Finding]:
    """SoftTimeLimitExceeded is an Exception: a broad clause swallows it, and the job runs on into
    the hard limit.
    """
    limit = task_of(job).option("soft_time_limit")
    if not known(limit):
        return
    for handler in job.project.handlers(job.handler, depth=1):
        if not handler.broad or handler.reraises or _named_before(handler):
            continue
        if any(name.endswith(".retry") for name in handler.calls):
            continue
        message = (
            f"soft_time_limit is {limit} s, and this clause swallows SoftTimeLimitExceeded:"
            " the task goes on until the hard limit kills it"
        )
        hint = "put `except SoftTimeLimitExceeded: raise` before it"
        yield say(
            "soft-time-limit-swallowed",
            Severity.WARNING,
            Place(handler.path, handler.line),
            message,
            hint,
        )


def _named_before(handler: Handler) -> bool:
    """An earlier clause of the same `try` names it."""
    block = None
    for n in handler.module.parents(handler.node):
        if isinstance(n, ast.Try | ast.TryStar):
            block = n
            break
    earlier = []
    if block:
        earlier = block.handlers[: block.handlers.index(handler.node)]
    names = set()
    for clause in earlier:
        for part in clause.type.elts if isinstance(clause.type, ast.Tuple) else [clause.type]:
            if part is not None:
                names.add(handler.module.resolve(part) or "")
    return bool(names & _SOFT_LIMIT_NAMES) or any(
        name.endswith("SoftTimeLimitExceeded") for name in names
    )


SWALLOWING = declare_swallowing_rules(
    "celery",
    says="Celery reports SUCCESS and never retries",
    source="Task.on_failure is not called for what is caught",
)
