"""Rules about how a job is enqueued: reserved names, keys that keep nothing out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_given_arguments
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rq.sends import EXPLICIT, SENDER, find_parameters, reserved_names
from skillrun.repo.source import last_word


def reserved_argument(job: Job) -> Iterator[Finding]:
    """An argument of the function with a name that RQ keeps for itself."""
    for send, call, _ in find_given_arguments(job, SENDER):
        names = set(call.keywords)
        if last_word(call.node.func) in EXPLICIT or names & {"args", "kwargs"}:
            continue
        for name in sorted(set(job.handler.parameters) & reserved_names(send) & names):
            message = f"RQ takes {name} for itself: {job.handler.name} never gets it"
            severity = Severity.ERROR if name in _find_needed(job) else Severity.WARNING
            hint = "pass it with kwargs={...}, or rename the parameter"
            yield tell(job, "reserved-argument", severity, send.place, message, hint)


def _find_needed(job: Job) -> tuple[str, ...]:
    """The parameters without a default."""
    args = find_parameters(job)
    if args is None:
        return ()
    plain = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    return tuple(plain[: len(plain) - len(args.defaults)])


def job_id_no_dedupe(job: Job) -> Iterator[Finding]:
    """An id of the caller's own, which looks like a key and is none."""
    for _, call, _ in find_given_arguments(job, SENDER):
        node = call.keywords.get("job_id")
        unique = call.keywords.get("unique")
        if node is not None and unique is None and not isinstance(node, ast.Constant):
            message = (
                "job_id keeps no second job out: without unique=True the same id is queued again"
            )
            hint = (
                "unique=True, and a key in the handler too: the id is free again once the result"
                " has expired"
            )
            place = place_of(call.module, node)
            yield tell(job, "job-id-no-dedupe", Severity.NOTE, place, message, hint)
