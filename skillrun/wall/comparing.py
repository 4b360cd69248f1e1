"""What comparisons of the base's runs with HEAD's share: which jobs they are made of, and how a
history is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.proof.history import Event, History
from skillrun.repo.places import is_taken_for_tests
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.specs import at, base_document, listed
from skillrun.wall.sent import Parts, read_parts
from skillrun.wall.verification import Job, NotCompared

LETTER, FAILED, AGAIN, DONE = "dead letter", "failed", "tried again", "done"
ENDLESS = "tried without an end"


def is_code_changed(diff: Diff) -> bool:
    """Whether the branch changes Python other than tests: else both sides do the same."""
    return any(not is_taken_for_tests(file.path) for file in diff.python_files())


def explain_not_comparing(job: Job, spec: File, diff: Diff) -> str | None:
    """Why it is not told whether HEAD does otherwise than the base; None where it may be."""
    if job.proof is None:
        return "no spec of this job asks for a proof"
    if not job.is_passing:
        return "the job is no success by itself"
    if base_document(diff, spec) is None:
        return "the base holds no spec of this job that can be read"
    return None


def add_not_compared(job: Job, found: Iterable[NotCompared]) -> Job:
    """The job with what was not compared of it besides, each once."""
    every = (*job.not_compared, *found)
    return replace(job, not_compared=tuple(dict.fromkeys(every)))


def list_effects(spec: File) -> list[str]:
    """The names of those that are stood in for."""
    document = spec.new_document or spec.old_document
    names = []
    for effect in listed(at(document.value if document else None, "effects")):
        if at(effect, "mode") != "pass_through":
            names.append(str(at(effect, "name")))
    return names


def name_end(history: History) -> str:
    """What the job of a history came to."""
    if history.pending:
        return ENDLESS
    if len(history.runs) > 1:
        return AGAIN
    if history.dead_letters:
        return LETTER
    if history.runs and history.runs[-1].outcome == "succeeded":
        return DONE
    return FAILED


def read_event(event: Event) -> tuple[Parts, ...]:
    """The requests of one call, as far as a receiver heard them."""
    found = []
    for sent in event["sent"]:
        parts = read_parts(str(sent))
        if parts:
            found.append(parts)
    return tuple(found)


def read_requests(history: History, effect: str) -> Iterator[Parts]:
    """What all real calls of an effect sent."""
    for event in history.all("heard"):
        if str(event["name"]).rpartition("#")[0] == effect:
            yield from read_event(event)
