"""The job specs of both sides, paired: by path, else by the name of the job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.contract.duration import parse_duration
from skillrun.contract.yamlpos import Document
from skillrun.wall.diff import Diff, File


@dataclass(frozen=True)
class Pair:
    """A job's spec in HEAD and in the base."""

    file: File
    new: Document
    old: Document

    def both(self, *path: str) -> tuple[Any, Any]:
        """(base, HEAD) values at a path; None where there is none."""
        return at(self.old.value, *path), at(self.new.value, *path)

    def line(self, *path: str | int) -> int:
        """The line in HEAD of a value, or of the nearest thing around it."""
        return self.new.line(path)


def pairs(diff: Diff) -> Iterator[Pair]:
    """The specs of HEAD that the base holds, too, and that can be read on both sides."""
    for file in diff.specs:
        old = base_document(diff, file)
        if file.new_document is not None and old is not None and old.value != file.new_document.value:
            yield Pair(file, file.new_document, old)


def base_document(diff: Diff, spec: File) -> Document | None:
    """The base's spec of the same path, else the one of the same job that is gone from where it was."""
    if spec.old is not None:
        return spec.old_document
    job = _job(spec.new_document)
    gone = (other for other in diff.specs if other.new is None)
    return next((other.old_document for other in gone if job and _job(other.old_document) == job), None)


def base_file(diff: Diff, spec: File) -> File:
    """The base's spec of a job as a file of its own, so that the base can be run as HEAD is."""
    document = base_document(diff, spec)
    held = next(file for file in diff.specs if file.old_document is not None and file.old_document is document)
    return File(held.path, held.path, None, held.old)


def vanished(diff: Diff) -> Iterator[File]:
    """The specs of the base whose job has none in HEAD."""
    jobs = {_job(file.new_document) for file in diff.specs if file.new is not None}
    return (f for f in diff.specs if f.new is None and f.old is not None and _job(f.old_document) not in jobs - {None})


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys, None where it leads nowhere."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def seconds(value: Any) -> float | None:
    """A duration in seconds; None for what is none, which means without limit."""
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _job(document: Document | None) -> str | None:
    name = at(document.value, "job") if document is not None else None
    return name if isinstance(name, str) else None
