"""Rules about the end of a job: what arq gives up without telling anybody."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.arq.deadletter import find_record
from skillrun.frameworks.arq.hooks import job_hooks
from skillrun.frameworks.arq.policy import keep_result_s, max_tries
from skillrun.frameworks.arq.retries import find_retries
from skillrun.frameworks.arq.sends import SENDER
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common import swallowing
from skillrun.frameworks.common.facts import effect_calls, seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.send_rules import find_real_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import is_known


def _expects_record(job: Job) -> bool:
    return job.spec.dead_letter is not None and job.spec.dead_letter.kind in ("table", "queue")


@rule(
    "arq.last-try-unheard",
    stage="dead-letter",
    source="`max retries exceeded` in run_job, arq/worker.py",
)
def last_try_unheard(job: Job) -> Iterator[Finding]:
    """A Retry at the last try is given up by arq before the handler is called again, so nothing
    records it.
    """
    if not _expects_record(job):
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
            severity = Severity.ERROR if is_sure else Severity.WARNING
            yield tell(job, "last-try-unheard", severity, path.place, message, hint)


@rule(
    "arq.no-room-for-deaths",
    stage="dead-letter",
    source="the counter arq:retry:<id> in run_job, arq/worker.py",
)
def no_room_for_deaths(job: Job) -> Iterator[Finding]:
    """Each begun run uses up a try: a worker that dies in the last one leaves no dead letter."""
    if not _expects_record(job):
        return
    bounds = []
    for path in find_retries(job.project, job.handler):
        if path.bound is not None:
            bounds.append(path.bound)
    for entry in find_entries(job.project, job.handler):
        most = max_tries(job.project, entry)
        if not bounds or not is_known(most) or max(bounds) < most:
            continue
        option = entry.option("max_tries")
        place = place_of(option[1], option[0]) if option else entry.place
        message = (
            f"max_tries is {most:g}, and the handler writes its dead letter at try {max(bounds)}: a"
            " worker that dies in it has used up the last try, and arq gives the job up without a"
            " record"
        )
        hint = (
            f"func({job.handler.name}, max_tries={max(bounds) + 5}): the handler's own count stays"
            " the bound"
        )
        yield tell(job, "no-room-for-deaths", Severity.WARNING, place, message, hint)


@rule(
    "arq.permanent-not-recorded",
    stage="dead-letter",
    source="run_job in arq/worker.py; stock-screener#49",
)
def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A permanent error that the handler catches and does not record is lost: arq calls the job
    complete.
    """
    yield from swallowing.permanent_not_recorded(job)


@rule(
    "arq.failure-unrecorded",
    stage="dead-letter",
    source="keep_result in arq/worker.py; python-arq/arq#167",
)
def failure_unrecorded(job: Job) -> Iterator[Finding]:
    """arq keeps no dead letters: the result of a failed job is deleted after keep_result."""
    entries = find_entries(job.project, job.handler)
    if not _expects_record(job) or not entries or find_record(job.project, job.handler) is not None:
        return
    kept = keep_result_s(job.project, entries[0])
    after = "is all there is"
    if is_known(kept) and kept != float("inf"):
        after = f"is gone after {seconds(kept)}"
    message = f"nothing is recorded when the job is given up: the result that arq keeps {after}"
    hint = "write the dead letter in the handler, at the last attempt and on a permanent error"
    yield tell(job, "failure-unrecorded", Severity.WARNING, entries[0].place, message, hint)


@rule(
    "arq.job-id-in-the-way",
    stage="dead-letter",
    source="python-arq/arq#432, #531; enqueue_job in arq/connections.py",
)
def job_id_in_the_way(job: Job) -> Iterator[Finding]:
    """While the result of a failed job is kept, enqueue_job refuses its id: it cannot be run once
    more.
    """
    if not _expects_record(job):
        return
    entries = find_entries(job.project, job.handler)
    kept = keep_result_s(job.project, entries[0]) if entries else 0.0
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
