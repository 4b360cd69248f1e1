"""The jobs that a library's own words show in another language than Python, with what was read of
their options: what can be said of them before there is a spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.known.options.job_options import (
    Attempts,
    JobOptions,
    NamedHandler,
    NotUnderstood,
)
from skillrun.frameworks.known.options.registry import OPTION_READERS
from skillrun.repo.uses import Place
from skillrun.skills.job_worker.readings.foreign import find_language_of
from skillrun.skills.job_worker.readings.foreign_options import read_options
from skillrun.skills.job_worker.readings.named import find_named

if TYPE_CHECKING:
    from skillrun.contract.languages import Language
    from skillrun.skills.job_worker.job_case import JobCase

# `class FeedDownloader` of a file with jobs; `new Worker("mail", sendWelcome, ...)`.
_HANDLERS = {
    "sidekiq": re.compile(r"^[ \t]*+class\s+([A-Z]\w*(?:::\w+)*)", re.MULTILINE),
    "bullmq": re.compile(
        r"\bnew\s+Worker\b[^(]{0,200}\(\s*+[^,()]{1,200},\s*+([A-Za-z_$][\w$]*+)\s*[,)]"
    ),
}
# Names that a finding tells of.
_MOST_NAMED = 3


@dataclass(frozen=True)
class ForeignJob:
    """A job by the name that a spec would give it, and its options."""

    name: str
    options: JobOptions


def find_foreign_jobs(case: JobCase) -> tuple[ForeignJob, ...]:
    """The jobs of the library in use, as far as its options are read."""
    return case.once("jobs in another language", lambda: tuple(_find_jobs(case)))


def choose_example(case: JobCase, language: Language) -> str:
    """The name of the first job that was seen; else one as the language writes it."""
    for job in find_foreign_jobs(case):
        return job.name
    return language.handler


def tell_tries(case: JobCase) -> tuple[str, Place | None]:
    """`Sidekiq tries FeedDownloader 6 times`, with its place: of the spec's handler, else of each
    job that was seen; "" where nothing was read.
    """
    own = read_options(case)
    jobs = find_foreign_jobs(case)
    if own is not None and case.spec is not None and case.spec.handler is not None:
        jobs = (ForeignJob(case.spec.handler, own),)
    told, first = [], None
    for job in jobs:
        attempts = job.options.attempts
        if isinstance(attempts, NotUnderstood):
            continue
        first = first or attempts.place
        told.append(f"{job.options.library} tries {job.name} {_count_tries(attempts)}")
    return ", ".join(told[:_MOST_NAMED]), first


def _count_tries(attempts: Attempts) -> str:
    if attempts.most == 1:
        return "once"
    return f"{attempts.most} times"


def _find_jobs(case: JobCase) -> Iterator[ForeignJob]:
    use = case.use
    if use is None or use.id not in OPTION_READERS:
        return
    language = find_language_of(use)
    if language is None:
        return
    read = OPTION_READERS[use.id]
    seen = set()
    for path in use.task_modules:
        text = (case.tree.read(path) or b"").decode("utf-8", "replace")
        for word in _HANDLERS[use.id].findall(text):
            place = find_named(case.tree, language, word)
            if place is None or word in seen:
                continue
            seen.add(word)
            words = tuple(reversed(word.split("::")))
            yield ForeignJob(
                _name_job(place, word, language), read(case.tree, NamedHandler(place, words))
            )


def _name_job(place: Place, word: str, language: Language) -> str:
    """`FeedDownloader`; where names are those of a file, `src/jobs/mail.ts#send`."""
    if "#" in language.handler:
        return f"{place.path}#{word}"
    return word
