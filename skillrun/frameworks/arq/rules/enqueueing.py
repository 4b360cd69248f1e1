"""Rules about how a job is enqueued: what never arrives, what arrives twice, and what is sent too
early.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.arq.policy import keep_result_s
from skillrun.frameworks.arq.sends import QUEUEING, SENDER
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.facts import seconds, tell
from skillrun.frameworks.common.listed_sends import find_named_sends
from skillrun.frameworks.common.policy_reader import read_sent
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import (
    find_called_sends,
    find_real_sends,
)
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import is_known

# arq/constants.py, expires_extra_ms: a job is kept for a day after it was due.
_EXPIRES_S = 86_400.0


@rule("arq.unknown-name", stage="handler", source="`function not found` in run_job, arq/worker.py")
def unknown_name(job: Job) -> Iterator[Finding]:
    """A job is found by its name in the worker: with another name it fails as soon as
    it is taken.
    """
    entries = find_entries(job.project, job.handler)
    names = {entry.name for entry in entries}
    if not entries or None in names:
        return
    own = {job.handler.name, job.handler.dotted, job.handler.name.rpartition(".")[2]} - names
    for send, name in find_named_sends(job.project, job.handler, QUEUEING):
        if name in own and not send.in_tests:
            known = ", ".join(sorted(map(str, names)))
            message = (
                f"no worker knows a function {name!r} (this one is {known}): the job fails as soon"
                " as it is taken"
            )
            yield tell(
                job,
                "unknown-name",
                Severity.ERROR,
                send.place,
                message,
                f"enqueue_job({known!r}, ...)",
            )


@rule(
    "arq.dedupe-forgotten",
    stage="idempotency",
    source="python-arq/arq#432, #531, #167; enqueue_job in arq/connections.py",
)
def dedupe_forgotten(job: Job) -> Iterator[Finding]:
    """_job_id keeps a second job out only while the job or its result is there: an hour after its
    end by default.

    The spec keeps its key for longer than arq keeps a job id.
    """
    entries = find_entries(job.project, job.handler)
    dedupe = None
    if job.spec.idempotency:
        dedupe = job.spec.idempotency.dedupe
    window = None
    if dedupe:
        window = dedupe.window
    kept = 0.0
    if entries:
        kept = keep_result_s(job.project, entries[0])
    if window is None or not is_known(kept) or kept >= window:
        return
    for send in find_real_sends(job, SENDER):
        key = send.option("_job_id")
        if key is not None:
            until = "it ends (keep_result is 0)"
            if kept:
                until = f"{seconds(kept)} after it ends (keep_result)"
            message = (
                f"_job_id keeps a second job out until {until}, and the spec's window is"
                f" {seconds(window)}"
            )
            hint = "remember the key in the handler's own store; _job_id only spares work"
            # Who keeps no result knows that the id holds no longer than the job.
            if kept:
                severity = Severity.WARNING
            else:
                severity = Severity.NOTE
            place = place_of(key[1], key[0])
            yield tell(job, "dedupe-forgotten", severity, place, message, hint)


@rule("arq.none-ignored", stage="idempotency", source="enqueue_job in arq/connections.py")
def none_ignored(job: Job) -> Iterator[Finding]:
    """enqueue_job returns None instead of a job where its id is in use; then nothing was enqueued.

    What enqueue_job says of an id that is in use is thrown away.
    """
    for send, call in find_called_sends(job, SENDER):
        if not send.is_coroutine or send.option("_job_id") is None:
            continue
        above = list(call.module.parents(call.node))[:2]
        if isinstance(above[0], ast.Await) and isinstance(above[1], ast.Expr):
            message = (
                "enqueue_job returns None where a job or a result has this id, and nobody looks:"
                " nothing is enqueued"
            )
            hint = "log it, at least: job = await ...; if job is None: ..."
            yield tell(job, "none-ignored", Severity.NOTE, send.place, message, hint)


@rule(
    "arq.expires-before-retries",
    stage="retry",
    rests_on="setup",
    source="expires_extra_ms in arq/constants.py; `job expired` in run_job, arq/worker.py",
)
def expires_before_retries(job: Job) -> Iterator[Finding]:
    """A job's definition expires, a day after it was due by default: a retry that waits longer
    finds nothing.
    """
    policy = job.policy
    if policy.max_attempts is None or {"max_attempts", "backoff"} & policy.unknown.keys():
        return
    waits = sum(policy.backoff.delays(policy.max_attempts - 1))
    for send in find_real_sends(job, SENDER):
        if send.kind != "enqueue":
            continue
        expires = read_sent(job.project, send, "_expires", _EXPIRES_S)
        if is_known(expires.value) and 0 < expires.value < waits:
            said = f"_expires is {seconds(expires.value)}"
            if expires.by_default:
                said = f"a job expires after {seconds(expires.value)}"
            message = (
                f"{said}, and the retries wait for {seconds(waits)}: the last ones find no job any"
                " more"
            )
            yield tell(
                job,
                "expires-before-retries",
                Severity.ERROR,
                expires.place,
                message,
                "a longer _expires, or fewer waits",
            )
