"""Rules about the end of a job: what arq gives up without telling anybody."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.arq.hooks import job_hooks
from skillrun.frameworks.arq.policy import keep_result_s, read_tries
from skillrun.frameworks.arq.retries import RETRY, find_left, find_retries
from skillrun.frameworks.arq.sends import SENDER
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.facts import effect_calls, expects_record, seconds, tell
from skillrun.frameworks.common.limit_rules import Limiting
from skillrun.frameworks.common.listed_rules import declare_listed_rules
from skillrun.frameworks.common.permanent_errors import Answer, Fate, Rerunning, is_decided
from skillrun.frameworks.common.policy_reader import Limit
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_real_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler, is_known
from skillrun.repo.uses import Place


def _find_kept(job: Job) -> Limit | None:
    for entry in find_entries(job.project, job.handler):
        return Limit(keep_result_s(job.project, entry), entry.place)
    return None


def _find_limits(job: Job) -> Iterator[Limit]:
    """Of a job that raises no Retry, they limit nothing."""
    is_retried = bool(find_retries(job.project, job.handler))
    if is_retried:
        for entry in find_entries(job.project, job.handler):
            yield read_tries(job.project, entry)


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that calls a function which raises Retry; one that raises it itself is followed as
    any other that raises.
    """
    inside = set(ast.walk(clause.node))
    for path in find_retries(job.project, job.handler):
        if path.clause is None or path.clause.node is not clause.node or path.call.node in inside:
            continue
        if is_decided(clause, path.call.module, path.call.node):
            return Fate("unsure", path.place)
        return Fate("again", path.place)
    return None


def _read_left(job: Job, error: str) -> Answer:
    """arq runs a job again for Retry alone."""
    if set(RETRY).isdisjoint((error, *job.project.ancestors(error))):
        return "ends"
    return "again"


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    for path in find_retries(job.project, job.handler):
        if path.clause is not None:
            for name in path.clause.exceptions:
                yield name, path.place


LIMITING = Limiting(
    title="arq",
    below="tries-below-spec",
    option="max_tries",
    attempt="try",
    find_limits=_find_limits,
    find_ways=lambda job: find_retries(job.project, job.handler),
    find_record=lambda job: find_left(job.project, job.handler),
    find_kept=_find_kept,
    write=lambda job, most: f"func({job.handler.name}, max_tries={most})",
    rerunning=Rerunning(
        title="arq",
        read_clause=_read_clause,
        read_left=_read_left,
        list_named=_list_named,
    ),
)
COMMON = declare_listed_rules(
    "arq",
    SENDER,
    LIMITING,
    {
        "tries-below-spec": "max_tries in arq/worker.py",
        "no-room-for-deaths": "the counter arq:retry:<id> in run_job, arq/worker.py",
        "failure-unrecorded": "keep_result in arq/worker.py; python-arq/arq#167",
        "permanent-retried": (
            "Retry in arq/worker.py; open-wearables#1053: 462 attempts in a week, none of them"
            " successful"
        ),
        "swallowed-exception": "run_job in arq/worker.py",
        "not-awaited": "enqueue_job in arq/connections.py",
        "wrong-arguments": "enqueue_job in arq/connections.py, run_job in arq/worker.py",
        "pickle-serializer": (
            "Custom job serializers in arq's documentation; serialize_job in arq/jobs.py"
        ),
    },
)


@rule(
    "arq.last-try-unheard",
    stage="dead-letter",
    source="`max retries exceeded` in run_job, arq/worker.py",
)
def last_try_unheard(job: Job) -> Iterator[Finding]:
    """A Retry at the last try is given up by arq before the handler is called again, so nothing
    records it.
    """
    if not expects_record(job):
        return
    paths = find_retries(job.project, job.handler)
    # A handler that counts its tries elsewhere leaves arq's own limit above that.
    counts = any(path.bound is not None for path in paths)
    for path in paths:
        if path.bound is None and not path.bound_unread:
            message = (
                "this Retry is raised at the last try too: arq then gives the job up (max retries"
                " exceeded) without calling the handler, and no dead letter is written"
            )
            hint = "if ctx['job_try'] >= ATTEMPTS: record the dead letter, and return"
            is_sure = path.clause is not None and not counts
            if is_sure:
                severity = Severity.ERROR
            else:
                severity = Severity.WARNING
            yield tell(job, "last-try-unheard", severity, path.place, message, hint)


@rule(
    "arq.job-id-in-the-way",
    stage="dead-letter",
    source="python-arq/arq#432, #531; enqueue_job in arq/connections.py",
)
def job_id_in_the_way(job: Job) -> Iterator[Finding]:
    """While the result of a failed job is kept, enqueue_job refuses its id: it cannot be run once
    more.
    """
    if not expects_record(job):
        return
    entries = find_entries(job.project, job.handler)
    kept = 0.0
    if entries:
        kept = keep_result_s(job.project, entries[0])
    for send in find_real_sends(job, SENDER):
        key = send.option("_job_id")
        if key is not None and is_known(kept) and kept > 0:
            if kept == float("inf"):
                how_long = "for ever"
            else:
                how_long = f"for {seconds(kept)}"
            message = (
                f"once it has failed, a job with this _job_id is not enqueued again {how_long}: its"
                " result is kept"
            )
            hint = (
                "delete arq:result:<id> when a dead letter is run once more, or keep_result=0 for"
                " this function"
            )
            place = place_of(key[1], key[0])
            yield tell(job, "job-id-in-the-way", Severity.NOTE, place, message, hint)


@rule(
    "arq.hook-ends-worker",
    stage="dead-letter",
    source="t.result() in Worker._poll_iteration, arq/worker.py",
)
def hook_ends_worker(job: Job) -> Iterator[Finding]:
    """An exception out of on_job_start, on_job_end or after_job_end ends the worker with all its
    jobs.
    """
    effects = {call.origin for call in effect_calls(job)}
    for name, hook in job_hooks(job.project, job.handler):
        for call in job.project.calls(hook, depth=1):
            if call.origin in effects and not any(clause.broad for clause in call.in_try):
                message = (
                    f"what {name} raises ends the whole worker, and the job is run again although"
                    " it may be done"
                )
                hint = "catch every exception in it, or call the effect in the handler"
                yield tell(
                    job,
                    "hook-ends-worker",
                    Severity.WARNING,
                    place_of(call.module, call.node),
                    message,
                    hint,
                )
