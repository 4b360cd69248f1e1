"""Scalars that an author meant as text and YAML reads as something else: `Message: no` says no, and
not false. Where nothing but text can be meant, they are read as they are written.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from skillrun.contract.positions import Document, Path

# Below these, no member of a spec is ever a word for true or false that is not `true` or `false`.
_OF_ERRORS = ("args", "kwargs")
_EXAMPLES = ("payload", "examples")


def read_as_written(document: Document) -> Document:
    """The document with the text of those scalars in their place, and without what would be said
    of them. A JSON file has none: its texts are quoted.
    """
    wanted = [path for path in document.source if _is_text(path, document)]
    if not wanted:
        return document
    value = copy.deepcopy(document.value)
    for path in wanted:
        *above, last = path
        container = value
        for step in above:
            container = container[step]
        container[last] = document.source[path]
    traps = {path: trap for path, trap in document.traps.items() if path not in wanted}
    return replace(document, value=value, traps=traps)


def _is_text(path: Path, document: Document) -> bool:
    """Whether a scalar can mean nothing but text, and was read as something else or as a trap."""
    value = _look_up(document.value, path)
    if value is None or (isinstance(value, str) and path not in document.traps):
        return False
    if "headers" in path[:-1] and ("returns" in path or path[0] == "failures"):
        return True
    if path[0] == "failures" and not set(path).isdisjoint(_OF_ERRORS):
        # A number is a number there: `args: [503]`. `1:30` may be either.
        return path in document.traps and isinstance(value, str | bool)
    if path[: len(_EXAMPLES)] == _EXAMPLES:
        return _asks_for_text(document.value.get("payload"), path[len(_EXAMPLES) + 1 :])
    return False


def _look_up(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _asks_for_text(schema: Any, path: Path) -> bool:
    """Whether the payload's schema says `type: string` of a value in an example."""
    for step in path:
        schema = _find_member_schema(schema, step)
    return isinstance(schema, dict) and schema.get("type") == "string"


def _find_member_schema(schema: Any, step: str | int) -> Any:
    """The schema of a member or of a list's items; None where it is not said plainly."""
    if not isinstance(schema, dict):
        return None
    if isinstance(step, int):
        return schema.get("items")
    members = schema.get("properties")
    return members.get(step) if isinstance(members, dict) else None
