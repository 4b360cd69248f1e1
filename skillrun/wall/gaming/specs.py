"""The job specs of both sides, paired: by the name of the job, else by path, else by the
handler.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.contract.duration import parse_duration
from skillrun.contract.positions import Document
from skillrun.wall.diff import Diff, File


@dataclass(frozen=True)
class Pair:
    """A job's spec in HEAD, and the base's spec of the same job."""

    file: File
    new: Document
    old: Document

    def both(self, *path: str) -> tuple[Any, Any]:
        """The values at a path, in the base and in HEAD; None where there is none."""
        return at(self.old.value, *path), at(self.new.value, *path)

    def line(self, *path: str | int) -> int:
        """The line in HEAD of a value, or of the nearest thing around it."""
        return self.new.line(path)


def pairs(diff: Diff) -> Iterator[Pair]:
    """Yields the specs that differ between HEAD and the base and can be read on both sides."""
    for file in diff.specs:
        old = base_document(diff, file)
        if file.new_document is None or old is None:
            continue
        # `1` and `true` are equal in Python, and are not the same in a spec.
        if json.dumps(old.value) != json.dumps(file.new_document.value):
            yield Pair(file, file.new_document, old)


def base_document(diff: Diff, spec: File) -> Document | None:
    """The base's spec of the same job, wherever it stands there; None where HEAD's is a new one."""
    partner = _find_partners(diff).get(spec.path)
    if partner is None:
        return None
    return partner.old_document


def base_file(diff: Diff, spec: File) -> File:
    """The base's spec of a job as a file of its own, so that the base can be run as HEAD is."""
    document = base_document(diff, spec)
    with_document = [file for file in diff.specs if file.old_document is not None]
    # The very document, and not an equal one: two jobs may be written alike.
    (holder,) = [file for file in with_document if file.old_document is document]
    return File(holder.path, holder.path, None, holder.old)


def vanished(diff: Diff) -> Iterator[File]:
    """Yields the specs of the base that have none in HEAD."""
    kept = {file.old_path for file in _find_partners(diff).values()}
    for file in diff.specs:
        if file.old is not None and file.old_path not in kept:
            yield file


def added(diff: Diff) -> Iterator[File]:
    """Yields the specs of HEAD that have none in the base."""
    kept = _find_partners(diff)
    for file in diff.specs:
        if file.new is not None and file.path not in kept:
            yield file


def _find_partners(diff: Diff) -> dict[str, File]:
    """Returns path in HEAD -> the base's file of the same spec, which is known by the job, else by
    the path, else by the handler.

    Each of the base's belongs to one of HEAD's: a copy that says less does not stand for its
    original.
    """
    new = [file for file in diff.specs if file.new is not None]
    old = [file for file in diff.specs if file.old is not None]
    partners: dict[str, File] = {}
    # What tells most comes first.
    for is_same in (_is_same_job_and_path, _is_same_job, _is_same_path, _is_same_handler):
        for file in new:
            if file.path in partners:
                continue
            for candidate in old:
                if is_same(file, candidate):
                    partners[file.path] = candidate
                    old.remove(candidate)
                    break
    return partners


def _is_same_job_and_path(new: File, old: File) -> bool:
    return _is_same_path(new, old) and _is_same_job(new, old)


def _is_same_job(new: File, old: File) -> bool:
    job = _text_at(new.new_document, "job")
    return job is not None and job == _text_at(old.old_document, "job")


def _is_same_path(new: File, old: File) -> bool:
    return new.path == old.path


def _is_same_handler(new: File, old: File) -> bool:
    handler = _text_at(new.new_document, "handler")
    return handler is not None and handler == _text_at(old.old_document, "handler")


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys, None where it leads nowhere."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else an empty one."""
    if isinstance(value, dict):
        return value
    return {}


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    if isinstance(value, list):
        return value
    return []


def seconds(value: Any) -> float | None:
    """A duration in seconds; None for what is no duration, which means without limit."""
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value)
    except ValueError:
        return None


def _text_at(document: Document | None, key: str) -> str | None:
    """The value of a key of a spec where it is a text, else None."""
    if document is None:
        return None
    value = at(document.value, key)
    if isinstance(value, str):
        return value
    return None
