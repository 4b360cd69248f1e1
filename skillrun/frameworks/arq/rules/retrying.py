"""Rules about what is run again, how often, and after which wait."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.arq.policy import retries_on
from skillrun.frameworks.arq.retries import find_retries, raises_retry
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.again import Path, tries_itself
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.ways_out import WayOut, find_ways_out
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.calls import surroundings

# What an `except` may name to take a Retry: arq declares `class Retry(RuntimeError)`.
_OF_RETRY = {
    "builtins.RuntimeError",
    "builtins.Exception",
    "builtins.BaseException",
}
_HINT = "except ... as error: raise Retry(defer=...) from error, while ctx['job_try'] allows it"


def _find_paths(job: Job) -> tuple[Path, ...]:
    return find_retries(job.project, job.handler)


@rule(
    "arq.plain-exception",
    stage="retry",
    source="Retrying jobs and cancellation in arq's documentation; run_job in arq/worker.py",
)
def plain_exception(job: Job) -> Iterator[Finding]:
    """arq runs a job again for Retry (and when it is cancelled); any other exception ends it at the
    first try.

    A transient error leaves the handler as it is: arq does not run the job again.
    """
    retry = job.spec.retry
    if retry is None or retry.kind == "none":
        return
    for way in find_ways_out(job, "transient", lambda way: _gives_up(job, way)):
        what = "is raised again from this clause"
        if way.clause is None:
            what = "leaves the handler from this call"
        message = (
            f"{way.error} is transient in the spec, and {what}: arq runs only Retry again, and"
            " gives the job up"
        )
        yield tell(job, "plain-exception", Severity.ERROR, way.place, message, _HINT)


def _gives_up(job: Job, way: WayOut) -> bool:
    """As far as can be told; a clause that raises on some of its ways alone is not judged."""
    if tries_itself(job.project, way.call) or _is_taken_around(job, way):
        return False
    clause = way.clause
    return clause is None or (clause.always_raises and not raises_retry(job.project, clause))


def _is_taken_around(job: Job, way: WayOut) -> bool:
    """A decorator of the handler raises Retry for it."""
    for path in _find_paths(job):
        clause = None
        if path.around:
            clause = path.clause
        if clause is not None and (clause.bare or way.bases & set(clause.exceptions)):
            return True
    return False


@rule("arq.retry-swallowed", stage="retry", source="class Retry(RuntimeError) in arq/worker.py")
def retry_swallowed(job: Job) -> Iterator[Finding]:
    """Retry is a RuntimeError, so a broad clause around it takes it, and the job counts as done."""
    for path in _find_paths(job):
        for block in surroundings(path.call.module, path.call.node).tries:
            for node in block.handlers:
                clause = job.project.handler(path.call.module, node)
                if (clause.bare or _OF_RETRY & set(clause.exceptions)) and not clause.reraises:
                    message = (
                        "this Retry is caught where it is raised: Retry is a RuntimeError, and the"
                        " clause takes it"
                    )
                    hint = "except Retry: raise, before the broad clause"
                    yield tell(job, "retry-swallowed", Severity.ERROR, path.place, message, hint)
                    break


@rule("arq.retry-jobs-off", stage="retry", rests_on="setup", source="retry_jobs in arq/worker.py")
def retry_jobs_off(job: Job) -> Iterator[Finding]:
    """With retry_jobs=False neither Retry nor a cancelled job is run again."""
    for entry in find_entries(job.project, job.handler):
        option = entry.worker.option("retry_jobs")
        if _find_paths(job) and option is not None and not retries_on(job.project, entry):
            message = (
                "with retry_jobs=False a Retry is a failure like any other: the job is not run"
                " again"
            )
            place = place_of(option[1], option[0])
            yield tell(
                job, "retry-jobs-off", Severity.ERROR, place, message, "leave retry_jobs at True"
            )
            return


@rule("arq.retry-without-defer", stage="retry", source="Retry and finish_job in arq/worker.py")
def retry_without_defer(job: Job) -> Iterator[Finding]:
    """Retry without defer is run again at once: all tries are used up before an outage can pass."""
    for path in _find_paths(job):
        if path.backoff is not None and path.backoff.kind == "none":
            message = (
                "Retry without defer: the next try follows at once, and all are used up before an"
                " outage can pass"
            )
            hint = "Retry(defer=min(2 * 2 ** (ctx['job_try'] - 1), 60))"
            yield tell(job, "retry-without-defer", Severity.WARNING, path.place, message, hint)


@rule(
    "arq.flat-defer",
    stage="retry",
    source="defer=ctx['job_try'] * 5 in arq's documentation; PDF-Assistant-RAG#664",
)
def flat_defer(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The spec asks for growing waits, the code waits the same each time.
    """
    backoff = None
    if job.spec.retry:
        backoff = job.spec.retry.backoff
    for path in _find_paths(job):
        fixed = (
            path.clause is not None and path.backoff is not None and path.backoff.kind == "fixed"
        )
        if fixed and backoff and backoff.kind == "exponential":
            message = "the wait is the same before every try, and the spec asks for growing ones"
            hint = (
                "make it of ctx['job_try'], as arq's documentation does: defer=ctx['job_try'] * 5"
            )
            yield tell(job, "flat-defer", Severity.WARNING, path.place, message, hint)
