"""Edits JSON as text: one value comes or goes, and every other byte stays where it was, comments
too.
"""

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
# A text in quotes, which may hold `//`; or a comment, as JSON with comments has it.
_TEXT_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_NOT_BREAK = re.compile(r"[^\r\n]")


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


def insert_value(text: str, keys: Sequence[str], value: Any, *, element: bool) -> Inserted:
    """Sets a member at `keys`, or appends an element to the array at `keys`; both behind the last
    one there.

    Raises Unfit where something else is there, or where the text is no JSON. Nothing but the value
    is different afterwards: that is checked.
    """
    document = parse_json(text)
    plain = blank_comments(text)
    depth = _depth_of(document, keys)
    if not element and depth == len(keys):
        raise Unfit(f"{'.'.join(keys)} is there already")
    # Of an element, the last of the keys leads to a container as well: to the array.
    deepest = len(keys) - 1
    if element:
        deepest = len(keys)
    made = tuple(tuple(keys[:length]) for length in range(depth + 1, deepest + 1))
    added: Any = value
    if element and made:
        added = [value]
    for key in reversed(keys[depth + 1 :]):
        added = {key: added}
    container = _find_container(plain, keys[:depth])
    first_missing = None
    if depth < len(keys):
        first_missing = keys[depth]
    new = _insert_at(text, container, keys[:depth], first_missing, added)
    if parse_json(new) != _with_value(document, keys, value, element=element):
        raise Unfit("it cannot be edited without changing something else")
    blank = ""
    if not container.parts:
        blank = text[container.start : container.end]
    return Inserted(new, made, blank)


def remove_value(text: str, keys: Sequence[str], index: int | None = None, blank: str = "") -> str:
    """The text without the member at `keys`, or without that element of the array there.

    `blank`: what stood between the brackets before anything was there. Raises Unfit as `insert`
    does.
    """
    document = parse_json(text)
    plain = blank_comments(text)
    if index is not None:
        container = _find_container(plain, keys)
        number = index
    else:
        container = _find_container(plain, keys[:-1])
        member_names = [part.key for part in container.parts]
        number = member_names.index(keys[-1])
    new = _cut_part(text, container, number, blank)
    if parse_json(new) != _without_value(document, keys, index):
        raise Unfit("it cannot be edited without changing something else")
    line = _find_lost_comment(text, new)
    if line is not None:
        raise Unfit(f"line {line}: a comment would go with it: take it out by hand")
    return new


def _find_lost_comment(before: str, after: str) -> int | None:
    """The line of the first comment that only `before` has; None where both have the same ones."""
    left = list(_list_comments(after).values())
    comments = _list_comments(before)
    if left == list(comments.values()):
        return None
    for number, (at, text) in enumerate(comments.items()):
        if left[number : number + 1] != [text]:
            return before.count("\n", 0, at) + 1
    return 1


def _list_comments(text: str) -> dict[int, str]:
    """Where each comment begins -> what it says."""
    comments = {}
    for match in _TEXT_OR_COMMENT.finditer(text):
        if not match[0].startswith('"'):
            comments[match.start()] = match[0].rstrip()
    return comments


def parse_json(text: str) -> Any:
    """The document; a comment counts as white space. Raises Unfit with line and reason for what is
    no JSON, a trailing comma for example.
    """
    try:
        return json.loads(blank_comments(text))
    except json.JSONDecodeError as error:
        raise Unfit(f"line {error.lineno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise Unfit("not JSON that can be read") from None


def blank_comments(text: str) -> str:
    """The text with a space for each sign of a comment, so that every position stays."""
    return _TEXT_OR_COMMENT.sub(_blank_comment, text)


def _blank_comment(match: re.Match[str]) -> str:
    if match[0].startswith('"'):
        return match[0]
    return _NOT_BREAK.sub(" ", match[0])


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
    """The text with the value behind the last part of the container at `keys`: as the member `key`,
    or, where that is None, as an element.
    """
    if container.is_object == (key is None):
        wanted = "an object"
        if key is None:
            wanted = "an array"
        raise Unfit(f"{'.'.join(keys) or 'the document'} is not {wanted}")
    name = ""
    if key is not None:
        name = json.dumps(key, ensure_ascii=False) + ": "
    if container.parts:
        gap = _find_gap(text, container)
        separator = ", "
        if "\n" in gap:
            separator = "," + gap
        at = container.parts[-1].end
        written = _write_value(value, gap, _indent_step(text))
        return text[:at] + separator + name + written + text[at:]
    at = container.start
    outer = _indent_at(text, at)
    gap, closing = "", ""
    # A document on one line stays on it, but for an empty one: nobody has chosen a style there.
    if "\n" in text.strip() or text.strip() == "{}":
        gap = _newline_of(text) + outer + _indent_step(text)
        blank = text[at : container.end]
        if "\n" not in blank:
            closing = _newline_of(text) + outer
    written = _write_value(value, gap, _indent_step(text))
    return text[:at] + gap + name + written + closing + text[at:]


def _find_gap(text: str, container: Container) -> str:
    """What stands before the first part: white space alone, also where comments are there."""
    gap = text[container.start : container.parts[0].start]
    if not gap.strip():
        return gap
    # The comment is the first part's, and not the one's that comes.
    line_end, _, indent = gap.rpartition("\n")
    if not line_end and "\n" not in gap:
        return " "
    return _newline_of(text) + re.sub(r"\S.*", "", indent)


def _write_value(value: Any, gap: str, unit: str) -> str:
    """The value as text in the style of its neighbours: on lines of their own where they are.

    `gap` is what stands between the opening bracket and the first of them.
    """
    if "\n" not in gap:
        return json.dumps(value, ensure_ascii=False)
    newline = "\n"
    if "\r\n" in gap:
        newline = "\r\n"
    outer = gap.rpartition("\n")[2]
    written = json.dumps(value, ensure_ascii=False, indent=unit)
    return written.replace("\n", newline + outer)


def _cut_part(text: str, container: Container, number: int, blank: str) -> str:
    """The text without the container's part of that number, and without one comma beside it; the
    comments around it stay.
    """
    parts = container.parts
    part = parts[number]
    if len(parts) == 1:
        around = text[container.start : part.start] + text[part.end : container.end]
        if list(_list_comments(around).values()) == list(_list_comments(blank).values()):
            return text[: container.start] + blank + text[container.end :]
        return _cut_span(text, part.start, part.end)
    if number:
        if not _list_comments(text[parts[number - 1].end : part.start]):
            return text[: parts[number - 1].end] + text[part.end :]
    elif not _list_comments(text[part.end : parts[1].start]):
        return text[: part.start] + text[parts[1].start :]
    plain = blank_comments(text)
    if number + 1 < len(parts):
        comma = plain.index(",", part.end)
        if not _list_comments(text[part.end : comma]):
            return _cut_span(text, part.start, comma + 1)
        return _cut_span(text[:comma] + text[comma + 1 :], part.start, part.end)
    comma = plain.index(",", parts[number - 1].end)
    shorter = _cut_span(text, part.start, part.end)
    return shorter[:comma] + shorter[comma + 1 :]


def _cut_span(text: str, start: int, end: int) -> str:
    """The text without a span, and without the white space that it leaves on its own lines."""
    line_at = text.rfind("\n", 0, start) + 1
    line_end = text.find("\n", end)
    if line_end < 0:
        line_end = len(text)
    if text[line_at:start].strip():
        # Something stands before it: what separates the two goes.
        kept = text[:start].rstrip(" \t")
        return kept + text[end:]
    if not text[end:line_end].strip():
        # The lines are its own.
        return text[:line_at] + text[line_end + 1 :]
    return text[:start] + text[end:].lstrip(" \t")


def _find_container(text: str, keys: Sequence[str]) -> Container:
    """The object or array at a path of members. Raises Unfit where nothing or another value is
    there.
    """
    at = _skip_space(text, 0)
    for key in keys:
        at_value = None
        if text[at] == "{":
            for part in _scan_container(text, at).parts:
                # Of a key that stands twice, the last one counts, as for `json`.
                if part.key == key:
                    at_value = part.value_at
        if at_value is None:
            raise Unfit(f"{key} is not there")
        at = at_value
    if text[at] not in "{[":
        raise Unfit(f"{'.'.join(keys) or 'the document'} is neither an object nor an array")
    return _scan_container(text, at)


def _scan_container(text: str, at: int) -> Container:
    """The container whose bracket stands at `at`, in a text that is known to be JSON."""
    is_object = text[at] == "{"
    parts = tuple(_scan_parts(text, at + 1, is_object))
    behind = at + 1
    if parts:
        behind = parts[-1].end
    return Container(is_object, at + 1, _skip_space(text, behind), parts)


def _scan_parts(text: str, at: int, is_object: bool) -> Iterator[Part]:
    """The members or elements of the container whose inside begins at `at`."""
    at = _skip_space(text, at)
    while text[at] not in "}]":
        start, key = at, None
        if is_object:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)  # behind the colon
        _, end = _DECODER.raw_decode(text, at)
        yield Part(key, start, at, end)
        at = _skip_space(text, end)
        if text[at] == ",":
            at = _skip_space(text, at + 1)


def _skip_space(text: str, at: int) -> int:
    """The position of the next sign at or behind `at` that is no white space."""
    match = _SPACE.match(text, at)
    if match:
        return match.end()
    return at


def _newline_of(text: str) -> str:
    if "\r\n" in text:
        return "\r\n"
    return "\n"


def _indent_step(text: str) -> str:
    """One step of indentation, as the file has it."""
    found = _INDENT.search(text)
    if not found:
        return "  "
    return found[1]


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _with_value(document: Any, keys: Sequence[str], value: Any, *, element: bool) -> Any:
    """A copy of the document with the value in it: what the edited text must mean."""
    new = inner = copy.deepcopy(document)
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
    if element:
        inner.setdefault(keys[-1], []).append(value)
    else:
        inner[keys[-1]] = value
    return new


def _without_value(document: Any, keys: Sequence[str], index: int | None) -> Any:
    """A copy of the document without that member or element: what the edited text must mean."""
    new = copy.deepcopy(document)
    if index is None:
        del value_at(new, keys[:-1])[keys[-1]]
    else:
        del value_at(new, keys)[index]
    return new
