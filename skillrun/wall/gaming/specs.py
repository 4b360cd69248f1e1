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
        if file.new_document is None or old is None:
            continue
        # `1` and `true` are equal in Python, and are not the same in a spec.
        if json.dumps(old.value) != json.dumps(file.new_document.value):
            yield Pair(file, file.new_document, old)


def base_document(diff: Diff, spec: File) -> Document | None:
    """The base's spec of the same job, wherever it stands there; None where HEAD's is a new one."""
    found = _find_partners(diff).get(spec.path)
    if found is None:
        return None
    return found.old_document


def base_file(diff: Diff, spec: File) -> File:
    """The base's spec of a job as a file of its own, so that the base can be run as HEAD is."""
    document = base_document(diff, spec)
    held = [file for file in diff.specs if file.old_document is not None]
    # The very document, and not an equal one: two jobs may be written alike.
    (found,) = [file for file in held if file.old_document is document]
    return File(found.path, found.path, None, found.old)


def vanished(diff: Diff) -> Iterator[File]:
    """The specs of the base that have none in HEAD."""
    kept = {file.old_path for file in _find_partners(diff).values()}
    for file in diff.specs:
        if file.old is not None and file.old_path not in kept:
            yield file


def added(diff: Diff) -> Iterator[File]:
    """The specs of HEAD that have none in the base."""
    kept = _find_partners(diff)
    for file in diff.specs:
        if file.new is not None and file.path not in kept:
            yield file


def _find_partners(diff: Diff) -> dict[str, File]:
    """Path in HEAD -> the base's file of the same spec: by the job, else by the path, else by the
    handler.

    Each of the base's belongs to one of HEAD's: a copy that says less does not stand for its
    original.
    """
    new = [file for file in diff.specs if file.new is not None]
    old = [file for file in diff.specs if file.old is not None]
    found: dict[str, File] = {}
    for same in (_is_same_job_and_path, _is_same_job, _is_same_path, _is_same_handler):
        for file in new:
            if file.path in found:
                continue
            for partner in old:
                if same(file, partner):
                    found[file.path] = partner
                    old.remove(partner)
                    break
    return found


def _is_same_job_and_path(new: File, old: File) -> bool:
    return _is_same_path(new, old) and _is_same_job(new, old)


def _is_same_job(new: File, old: File) -> bool:
    return _text_at(new.new_document, "job") == _text_at(old.old_document, "job") is not None


def _is_same_path(new: File, old: File) -> bool:
    return new.path == old.path


def _is_same_handler(new: File, old: File) -> bool:
    return (
        _text_at(new.new_document, "handler") == _text_at(old.old_document, "handler") is not None
    )


def at(value: Any, *path: str) -> Any:
    """The value at a path of keys, None where it leads nowhere."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value where it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def seconds(value: Any) -> float | None:
    """A duration in seconds; None for what is none, which means without limit."""
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value)
    except ValueError:
        return None


def _text_at(document: Document | None, key: str) -> str | None:
    if document is None:
        return None
    value = at(document.value, key)
    return value if isinstance(value, str) else None
