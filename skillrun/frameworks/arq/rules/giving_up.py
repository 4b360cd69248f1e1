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
from skillrun.repo.python import is_known


def _expects_record(job: Job) -> bool:
    return job.spec.dead_letter is not None and job.spec.dead_letter.kind in ("table", "queue")


def last_try_unheard(job: Job) -> Iterator[Finding]:
    """A Retry that is raised at the last try as well: the next one is given up before the handler
    is called.
    """
    if not _expects_record(job):
        return
    for path in find_retries(job.project, job.handler):
        if path.bound is None and not path.bound_unread:
            message = (
                "this Retry is raised at the last try too: arq then gives the job up (max retries"
                " exceeded) without calling the handler, and no dead letter is written"
            )
            hint = "if ctx['job_try'] >= ATTEMPTS: record the dead letter, and return"
            severity = Severity.ERROR if path.clause is not None else Severity.WARNING
            yield tell(job, "last-try-unheard", severity, path.place, message, hint)


def no_room_for_deaths(job: Job) -> Iterator[Finding]:
    """The handler's last attempt is arq's last try."""
    if not _expects_record(job):
        return
    bounds = [
        path.bound for path in find_retries(job.project, job.handler) if path.bound is not None
    ]
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


def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A clause takes a permanent error and keeps nothing of it."""
    yield from swallowing.permanent_not_recorded(job)


def failure_unrecorded(job: Job) -> Iterator[Finding]:
    """Nothing is recorded at all: the result that arq keeps is gone after keep_result."""
    entries = find_entries(job.project, job.handler)
    if not _expects_record(job) or not entries or find_record(job.project, job.handler) is not None:
        return
    kept = keep_result_s(job.project, entries[0])
    after = (
        f"is gone after {seconds(kept)}"
        if is_known(kept) and kept != float("inf")
        else "is all there is"
    )
    message = f"nothing is recorded when the job is given up: the result that arq keeps {after}"
    hint = "write the dead letter in the handler, at the last attempt and on a permanent error"
    yield tell(job, "failure-unrecorded", Severity.WARNING, entries[0].place, message, hint)


def job_id_in_the_way(job: Job) -> Iterator[Finding]:
    """The result of a failed job keeps its id: it cannot be enqueued again until that is gone."""
    if not _expects_record(job):
        return
    entries = find_entries(job.project, job.handler)
    kept = keep_result_s(job.project, entries[0]) if entries else 0.0
    for send in find_real_sends(job, SENDER):
        key = send.option("_job_id")
        if key is not None and is_known(kept) and kept > 0:
            how_long = "for ever" if kept == float("inf") else f"for {seconds(kept)}"
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


def hook_ends_worker(job: Job) -> Iterator[Finding]:
    """A hook with an effect of the job's, outside of any try: what it raises ends the worker."""
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
