"""Edits JSON as text: one value comes or goes, and every other byte stays where it was."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_INDENT = re.compile(r"\n([ \t]+)\S")
_DECODER = json.JSONDecoder()


class Unfit(Exception):
    """The document has no room for the value; the message says why."""


@dataclass(frozen=True)
class Part:
    """A member of an object, from its key to the end of its value; or an element of an array (`key`
    is None).
    """

    key: str | None
    start: int
    value_at: int
    end: int


@dataclass(frozen=True)
class Container:
    """An object or array: `start` is behind its opening bracket, `end` is at the closing one."""

    is_object: bool
    start: int
    end: int
    parts: tuple[Part, ...]


def value_at(document: Any, keys: Sequence[str]) -> Any:
    """The value at a path of members. Raises KeyError where there is none."""
    for key in keys:
        if not isinstance(document, dict):
            raise KeyError(key)
        document = document[key]
    return document


@dataclass(frozen=True)
class Inserted:
    """A text with a value more. `made`: the containers made for it, the outermost first; `blank`:
    what stood before between the brackets of the container that it, or the first of those, was put
    in.
    """

    text: str
    made: tuple[tuple[str, ...], ...]
    blank: str


def insert(text: str, keys: Sequence[str], value: Any, *, element: bool) -> Inserted:
    """Sets a member at `keys`, or appends an element to the array at `keys`; both behind the last
    one there.

    Raises Unfit where something else is there, or where the text is no JSON. Nothing but the value
    is different afterwards: that is checked.
    """
    document = parse(text)
    depth = _depth_of(document, keys)
    if not element and depth == len(keys):
        raise Unfit(f"{'.'.join(keys)} is there already")
    made = tuple(tuple(keys[:n]) for n in range(depth + 1, len(keys) + (1 if element else 0)))
    added: Any = value
    if element and made:
        added = [value]
    for key in reversed(keys[depth + 1 :]):
        added = {key: added}
    container = _container(text, keys[:depth])
    new = _insert_at(
        text, container, keys[:depth], keys[depth] if depth < len(keys) else None, added
    )
    if parse(new) != _with(document, keys, value, element=element):
        raise Unfit("it cannot be edited without changing something else")
    return Inserted(new, made, "" if container.parts else text[container.start : container.end])


def remove(text: str, keys: Sequence[str], index: int | None = None, blank: str = "") -> str:
    """The text without the member at `keys`, or without that element of the array there.

    `blank`: what stood between the brackets before anything was there. Raises Unfit as `insert`
    does.
    """
    document = parse(text)
    container = _container(text, keys if index is not None else keys[:-1])
    keyed = [number for number, part in enumerate(container.parts) if part.key == keys[-1]]
    if index is not None:
        number = index
    else:
        number = keyed[0]
    new = _without(text, container, number, blank)
    if parse(new) != _lacking(document, keys, index):
        raise Unfit("it cannot be edited without changing something else")
    return new


def parse(text: str) -> Any:
    """The document. Raises Unfit with line and reason for what is no JSON, a comment for
    example.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unfit(f"line {error.lineno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise Unfit("not JSON that can be read") from None


def _depth_of(document: Any, keys: Sequence[str]) -> int:
    """How many of the keys are there. Raises Unfit where something on the way is no object, or the
    end no array.
    """
    for depth, key in enumerate(keys):
        if not isinstance(document, dict):
            raise Unfit(f"{'.'.join(keys[:depth]) or 'the document'} is not an object")
        if key not in document:
            return depth
        document = document[key]
    return len(keys)


def _insert_at(
    text: str, container: Container, keys: Sequence[str], key: str | None, value: Any
) -> str:
    if container.is_object == (key is None):
        raise Unfit(
            f"{'.'.join(keys) or 'the document'} is not"
            f" {'an array' if key is None else 'an object'}"
        )
    name = ""
    if key is not None:
        name = json.dumps(key, ensure_ascii=False) + ": "
    if container.parts:
        gap = text[container.start : container.parts[0].start]
        at, before, after = container.parts[-1].end, "," + (gap if "\n" in gap else " "), ""
    else:
        outer = _indent_at(text, container.start)
        gap = ""
        if "\n" in text.strip() or text.strip() == "{}":
            gap = _newline(text) + outer + _unit(text)
        blank = text[container.start : container.end]
        at, before, after = (
            container.start,
            gap,
            _newline(text) + outer if gap and "\n" not in blank else "",
        )
    return text[:at] + before + name + _dump(value, gap, _unit(text)) + after + text[at:]


def _dump(value: Any, gap: str, unit: str) -> str:
    """The value as text in the style of its neighbours: on lines of their own where they are."""
    if "\n" not in gap:
        return json.dumps(value, ensure_ascii=False)
    newline = "\n"
    if "\r\n" in gap:
        newline = "\r\n"
    return json.dumps(value, ensure_ascii=False, indent=unit).replace(
        "\n", newline + gap.rpartition("\n")[2]
    )


def _without(text: str, container: Container, number: int, blank: str) -> str:
    parts = container.parts
    if len(parts) == 1:
        return text[: container.start] + blank + text[container.end :]
    if number:
        return text[: parts[number - 1].end] + text[parts[number].end :]
    return text[: parts[0].start] + text[parts[1].start :]


def _container(text: str, keys: Sequence[str]) -> Container:
    at = _skip(text, 0)
    for key in keys:
        if text[at] == "{":
            parts = _scan(text, at).parts
        else:
            parts = ()
        found = []
        for part in parts:
            if part.key == key:
                found.append(part.value_at)
        if not found:
            raise Unfit(f"{key} is not there")
        at = found[-1]
    if text[at] not in "{[":
        raise Unfit(f"{'.'.join(keys) or 'the document'} is neither an object nor an array")
    return _scan(text, at)


def _scan(text: str, at: int) -> Container:
    """The container whose bracket stands at `at`, in a text that is known to be JSON."""
    is_object = text[at] == "{"
    parts = tuple(_parts(text, at + 1, is_object))
    end = _skip(text, parts[-1].end if parts else at + 1)
    return Container(is_object, at + 1, end, parts)


def _parts(text: str, at: int, is_object: bool) -> Iterator[Part]:
    at = _skip(text, at)
    while text[at] not in "}]":
        start, key = at, None
        if is_object:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)  # behind the colon
        _, end = _DECODER.raw_decode(text, at)
        yield Part(key, start, at, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    if match:
        return match.end()
    return at


def _newline(text: str) -> str:
    if "\r\n" in text:
        return "\r\n"
    return "\n"


def _unit(text: str) -> str:
    """One step of indentation, as the file has it."""
    found = _INDENT.search(text)
    if not found:
        return "  "
    return found[1]


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _with(document: Any, keys: Sequence[str], value: Any, *, element: bool) -> Any:
    new = inner = copy.deepcopy(document)
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    if element:
        inner.setdefault(keys[-1], []).append(value)
    else:
        inner[keys[-1]] = value
    return new


def _lacking(document: Any, keys: Sequence[str], index: int | None) -> Any:
    new = copy.deepcopy(document)
    if index is None:
        del value_at(new, keys[:-1])[keys[-1]]
    else:
        del value_at(new, keys)[index]
    return new
