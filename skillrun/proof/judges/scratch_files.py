"""Whether a file that a handler writes into the scratch is like state: what stands in it at the end
is that of a single run. A file that is added to, or made anew with each attempt, is an effect.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator

from skillrun.proof.history import History, name_scratch_file
from skillrun.proof.reference import Reference, must_complete

# A work file often has the number of its process, or a random name.
_VOLATILE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|\d+", re.IGNORECASE)


def is_named_aside(name: str, reference: Reference) -> bool:
    """Whether the spec says that a file only coordinates, or is a cache. `name`: its path within
    the scratch.
    """
    proof = reference.spec.proof
    if proof is None:
        return False
    patterns = [pattern.removeprefix("{scratch}/") for pattern in proof.scratch_files]
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def is_like_state(name: str, given: object, history: History, reference: Reference) -> bool:
    """Whether a file at the end is as a single run leaves it, so that writing it again changes
    nothing. `name`: a path within the scratch; `given`: what the file was given besides its
    content, such as a mode or times.
    """
    if is_named_aside(name, reference):
        return True
    if history.schedule.family == "varied":
        # What a payload that nobody gave comes to is its own affair.
        return True
    if _differs_between_runs(name, reference):
        return False
    if given and not _is_given_by_single_run(name, given, reference):
        return False
    seen = history.files.get(name)
    allowed: set[str | None] = set()
    for single in _list_singles(reference):
        if name in single.files:
            allowed.add(single.files[name])
    if allowed and not must_complete(history, reference):
        allowed.add(None)  # a job that is not done need not have written it
    if seen in allowed:
        return True
    return _is_work_file(name, reference) and (seen is None or history.schedule.has_crash)


def _list_singles(reference: Reference) -> Iterator[History]:
    """Yields the single runs, of the proof's own message and of each distinct job."""
    yield reference.once
    yield from reference.jobs.values()


def _is_given_by_single_run(name: str, given: object, reference: Reference) -> bool:
    """Whether a single run gives the file the same, and another one nothing else: a job may
    remember by it as by what stands in the file.
    """
    later = reference.later
    if later is not None and _list_given(name, later) != _list_given(name, reference.once):
        return False
    return any(given in _list_given(name, single) for single in _list_singles(reference))


def _list_given(name: str, history: History) -> set[object]:
    """What the deliveries gave a file besides its content."""
    found: set[object] = set()
    for delivery in history.deliveries:
        for event in delivery.all("undeclared"):
            if event["given"] and name_scratch_file(event) == name:
                found.add(event["given"])
    return found


def _differs_between_runs(name: str, reference: Reference) -> bool:
    """Whether two single runs leave another content in a file: it has a time or a random value in
    it, or is added to.
    """
    later = reference.later
    if later is None or name not in reference.once.files or name not in later.files:
        return False
    return reference.once.files[name] != later.files[name]


def _is_work_file(name: str, reference: Reference) -> bool:
    """Whether every single run removes or renames the files of this kind before it ends; a process
    that dies leaves one.
    """
    kind = _VOLATILE.sub("#", name)
    found: list[str | None] = []
    for single in _list_singles(reference):
        for other, digest in single.files.items():
            if _VOLATILE.sub("#", other) == kind:
                found.append(digest)
    return bool(found) and all(digest is None for digest in found)
