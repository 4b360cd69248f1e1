"""Rules about the waits before retries: which are too flat, and which are none. A library gives
what it found, in its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, seconds, tell
from skillrun.frameworks.interface import Job
from skillrun.repo.uses import Place


@dataclass(frozen=True)
class Wait:
    """A wait before each retry: how long, and where that is given (None: the library's default)."""

    seconds: float
    place: Place | None


def find_flat_backoffs(job: Job, waits: Iterable[Wait], hint: str) -> Iterator[Finding]:
    """Constant waits, unless the spec agrees to one."""
    if _find_wanted_kind(job) == "fixed":
        return
    for wait in waits:
        message = (
            f"every retry waits {seconds(wait.seconds)}: all failed jobs come back at once, and no"
            " slower in a long outage"
        )
        yield tell(job, "flat-backoff", Severity.WARNING, at(job, wait.place), message, hint)


def find_flat_waits(
    job: Job, waits: Iterable[tuple[str, Place | None]], hint: str
) -> Iterator[Finding]:
    """Waits that do not grow, each with why not, where the spec asks for growing ones."""
    if _find_wanted_kind(job) != "exponential":
        return
    for why, place in waits:
        message = f"{why}: the waits do not grow, and the spec asks for growing ones"
        yield tell(job, "flat-wait", Severity.WARNING, at(job, place), message, hint)


def find_retries_at_once(
    job: Job, retries: Iterable[tuple[str, Place | None]], hint: str
) -> Iterator[Finding]:
    """Retries without a wait, each with what it lacks."""
    for what, place in retries:
        message = f"{what}: all attempts are used up before an outage can pass"
        yield tell(job, "retry-at-once", Severity.WARNING, at(job, place), message, hint)


def _find_wanted_kind(job: Job) -> str | None:
    """The kind of backoff that the spec asks for."""
    if job.spec.retry is None or job.spec.retry.backoff is None:
        return None
    return job.spec.retry.backoff.kind
