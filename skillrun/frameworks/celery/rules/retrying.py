"""Rules about what is retried, how often, and after which wait."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.retries import Path, wraps
from skillrun.frameworks.celery.rules.facts import retries_of, say
from skillrun.frameworks.common.errors import short
from skillrun.frameworks.common.facts import at, spec_name
from skillrun.frameworks.common.permanent_errors import (
    Answer,
    Fate,
    Rerunning,
    find_permanent_retried,
    find_worst_fate,
    is_decided,
)
from skillrun.frameworks.common.wait_rules import Wait, find_flat_backoffs
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Handler
from skillrun.repo.uses import Place

_EVERYTHING = {"builtins.Exception", "builtins.BaseException"}


@rule(
    "celery.retry-unbounded",
    stage="retry",
    source="joeflow#28; Task.max_retries in celery/app/task.py",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """max_retries=None retries for ever, so a job that cannot succeed occupies workers for ever."""
    for path in retries_of(job).paths:
        if path.max_retries is None:
            message = (
                "max_retries=None retries without end: a job that cannot succeed runs for ever"
            )
            place = at(job, path.max_place or path.place)
            yield say(
                "retry-unbounded", Severity.ERROR, place, message, "give max_retries a number"
            )


@rule(
    "celery.retry-everything",
    stage="retry",
    source="PDF-Assistant-RAG#664: autoretry_for=(Exception,)",
)
def retry_everything(job: Job) -> Iterator[Finding]:
    """Retrying every exception repeats bad input and programming errors that no wait can mend.

    Every exception is retried, those that will never pass among them.
    """
    for path in retries_of(job).paths:
        if not _EVERYTHING & set(path.exceptions) or path.conditional or path.spared:
            continue
        what = "this clause catches"
        if path.kind == "autoretry":
            what = "autoretry_for names"
        message = (
            f"{what} every exception: bad input and programming errors are retried too, to no use"
        )
        if _permanent_kept_away(job):
            severity = Severity.WARNING
        else:
            severity = Severity.ERROR
        hint = (
            "name the exceptions that may pass by waiting, or the permanent ones in"
            " dont_autoretry_for"
        )
        yield say("retry-everything", severity, path.place, message, hint)


def _permanent_kept_away(job: Job) -> bool:
    """The handler itself ends every permanent error of the spec before it gets to a retry."""
    listed = job.spec.list_errors("permanent")
    for written in listed:
        fate = find_worst_fate(job, short(spec_name(job, written)), _RERUNNING)
        if fate.answer in ("again", "unsure"):
            return False
    return bool(listed)


@rule(
    "celery.flat-backoff",
    stage="retry",
    source="PDF-Assistant-RAG#664; retry_backoff in celery/app/autoretry.py",
)
def flat_backoff(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The same wait before every retry.
    """
    waits = []
    for path in retries_of(job).paths:
        is_flat = path.backoff is not None and path.backoff.kind == "fixed"
        if path.backoff is not None and is_flat and path.max_retries not in (0, 1):
            waits.append(Wait(path.backoff.base_s, path.backoff_place or path.place))
    hint = (
        "retry_backoff=True with retry_backoff_max, or a countdown that grows with"
        " self.request.retries"
    )
    return find_flat_backoffs(job, waits, hint)


@rule(
    "celery.retry-without-exc",
    stage="retry",
    source="celery/celery#6358; Task.retry in celery/app/task.py",
)
def retry_without_exc(job: Job) -> Iterator[Finding]:
    """self.retry() without exc hides the cause: the job ends with MaxRetriesExceededError."""
    for path in retries_of(job).paths:
        if (
            path.call is None
            or path.call.in_except is None
            or path.call.argument(2, "exc") is not None
        ):
            continue
        if any(keyword.arg is None for keyword in path.call.node.keywords):
            continue
        message = (
            "self.retry() without exc: after the last attempt the job fails"
            " with MaxRetriesExceededError, not with its cause"
        )
        name = path.call.in_except.name or "exc"
        yield say(
            "retry-without-exc",
            Severity.WARNING,
            path.place,
            message,
            f"raise self.retry(exc={name})",
        )


@rule(
    "celery.permanent-retried",
    stage="retry",
    source="open-wearables#1053: 462 attempts in a week, none of them successful",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """An error that the spec calls permanent will not pass by waiting; retrying it only delays the
    dead letter.
    """
    return find_permanent_retried(job, _RERUNNING)


def _read_clause(job: Job, clause: Handler) -> Fate | None:
    """A clause that calls self.retry()."""
    for path in retries_of(job).paths:
        call = path.call
        if call is None or call.in_except is None or call.in_except.node is not clause.node:
            continue
        if is_decided(clause, call.module, call.node):
            return Fate("unsure", path.place)
        return Fate("again", path.place)
    return None


def _read_left(job: Job, error: str) -> Answer:
    """The wrapper of `autoretry_for` decides by the class of the error."""
    if _find_autoretry(job, error) is None:
        return "ends"
    return "again"


def _find_autoretry(job: Job, error: str) -> Path | None:
    """The `autoretry_for` that retries an exception."""
    for path in retries_of(job).paths:
        if wraps(job.project, path, error):
            return path
    return None


def _find_place(job: Job) -> Place | None:
    for path in retries_of(job).paths:
        if path.kind == "autoretry":
            return path.place
    return None


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    for path in retries_of(job).paths:
        for name in path.exceptions:
            yield name, path.place


_RERUNNING = Rerunning(
    title="Celery",
    read_clause=_read_clause,
    read_left=_read_left,
    hint="leave it out of what is retried, or name it in dont_autoretry_for",
    find_place=_find_place,
    list_named=_list_named,
)
