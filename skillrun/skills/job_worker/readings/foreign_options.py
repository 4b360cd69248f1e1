"""What the stages say of a job in another language where its library's options are read: what
contradicts the spec, what agrees, and what was not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding
from skillrun.frameworks.interface import Backoff, Policy
from skillrun.frameworks.known.options.job_options import JobOptions, NamedHandler, NotUnderstood
from skillrun.frameworks.known.options.registry import OPTION_READERS
from skillrun.repo.uses import Place
from skillrun.runner.findings import error, note
from skillrun.skills.job_worker.readings.horizon import duration
from skillrun.skills.job_worker.readings.named import find_named, list_words

if TYPE_CHECKING:
    from skillrun.contract.job import DeadLetter, JobSpec
    from skillrun.skills.job_worker.job_case import JobCase


def read_options(case: JobCase) -> JobOptions | None:
    """What was read of the job's options; None where its library's are not read, or its handler
    was not found.
    """
    return case.once("options of its library", lambda: _read_options(case))


def _read_options(case: JobCase) -> JobOptions | None:
    spec, language, use = case.spec, case.language, case.use
    if spec is None or spec.handler is None or language is None or use is None:
        return None
    reader = OPTION_READERS.get(use.id)
    place = find_named(case.tree, language, spec.handler)
    if reader is None or place is None or not place.path.endswith(language.suffixes):
        return None
    return reader(case.tree, NamedHandler(place, tuple(reversed(list_words(spec.handler)))))


def make_policy(options: JobOptions) -> Policy:
    """Attempts and waits in the words that the stage compares; what was not read is unknown."""
    attempts, waits = options.attempts, options.waits
    most: int | None = None
    backoff = Backoff("none")
    sources: dict[str, Place | None] = {}
    unknown: dict[str, Place] = {}
    if isinstance(attempts, NotUnderstood):
        unknown["max_attempts"] = attempts.place or Place("", 0)
    else:
        most, sources["max_attempts"] = attempts.most, attempts.place
    if isinstance(waits, NotUnderstood) or waits.backoff is None:
        unknown["backoff"] = waits.place or Place("", 0)
    else:
        backoff, sources["backoff"] = waits.backoff, waits.place
    return Policy(most, backoff, sources=sources, unknown=unknown)


def describe_retries(options: JobOptions, spec: JobSpec) -> Iterator[Finding]:
    """What was read of attempts and waits, and what was not; an error where the library's own waits
    are longer than the acceptable delay.
    """
    attempts, waits = options.attempts, options.waits
    if isinstance(attempts, NotUnderstood):
        yield _tell_unread("retry", "how often it is tried", attempts)
    else:
        message = f"read: {options.library} tries it {attempts.most} times"
        yield note("retry.read", message, **_show(attempts.place))
    if isinstance(waits, NotUnderstood):
        yield _tell_unread("retry", "how long it waits", waits)
        return
    if waits.backoff is not None:
        return
    total = waits.least_s
    message = f"read: it waits by {waits.words}; at least {duration(total)} in all"
    hint = "the spec has no word for these waits: what it says of backoff is not compared"
    yield note("retry.own-waits", message, hint=hint, **_show(waits.place))
    acceptable = None
    if spec.failures is not None:
        acceptable = spec.failures.acceptable_delay
    if acceptable is not None and total > acceptable:
        message = (
            f"its {waits.retries} retries wait at least {duration(total)}, more than the"
            f" acceptable delay {duration(acceptable)}"
        )
        hint = "fewer retries, or waits of its own"
        yield error("retry.waits-too-long", message, hint=hint, **_show(waits.place))


def judge_failed(options: JobOptions, spec: JobSpec, dead_letter: DeadLetter) -> Iterator[Finding]:
    """Where the library itself is to keep a job that failed: an error where it does not."""

    if dead_letter.kind != "framework":
        return
    failed = options.failed
    if isinstance(failed, NotUnderstood):
        yield _tell_unread("dead-letter", "whether a job that failed is kept", failed)
    elif failed.is_kept:
        yield note("dead-letter.read", f"read: {failed.words}", **_show(failed.place))
    else:
        message = f"the spec says that {options.library} keeps a job that failed; {failed.words}"
        hint = "take the option out, or name another place for the record in the spec"
        yield error("dead-letter.discarded", message, hint=hint, **_show(failed.place))


def _tell_unread(stage: str, question: str, why: NotUnderstood) -> Finding:
    message = f"not read: {question}: {why.because}"
    return note(
        f"{stage}.unread", message, hint="whoever attests it looks there", **_show(why.place)
    )


def _show(place: Place | None) -> dict[str, Any]:
    if place is None or not place.path:
        return {}
    return {"path": place.path, "line": place.line}
