"""What comparisons of the base's runs with HEAD's share: which jobs they are made of, and how a
history is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.proof.history import Event, History
from skillrun.skills.job_worker.readings.own_tests.testcases import is_test_file
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.specs import at, base_document, listed
from skillrun.wall.sent import Parts, read_parts
from skillrun.wall.verification import Job

LETTER, FAILED, AGAIN, DONE = "dead letter", "failed", "tried again", "done"
ENDLESS = "tried without an end"


def can_be_compared(job: Job, spec: File, diff: Diff) -> bool:
    """Whether it may be told that HEAD does otherwise: code changed, and nothing fails anyway."""
    is_changed = any(not is_test_file(file.path) for file in diff.python_files())
    if not job.is_passing or not is_changed:
        return False
    return base_document(diff, spec) is not None


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
