"""What of an addition is in a file now, how it gets in, and how it comes out again; for JSON, TOML
and whole files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from skillrun.agents.install import jsontext, tomltext
from skillrun.agents.install.record import Entry
from skillrun.agents.interface import Addition
from skillrun.core.canonical import sha256

# Whatever the path of its program; a shell's quote may end it.
_COMMAND = re.compile(r"skillrun'? (hook [\w-]+ [\w-]+)")
Presence = Literal["same", "other", "none"]


def recorded_value(wanted: Addition) -> Any:
    """The value of an addition as a record keeps it before it is in a file."""
    if wanted.how == "file":
        return sha256(wanted.value.encode())
    return wanted.value


def find_presence(text: str | None, wanted: Addition) -> Presence:
    """Whether the addition is in the text, something else of that name is, or nothing. Raises
    Unfit.
    """
    if text is None:
        return "none"
    if wanted.how == "file":
        if text == wanted.value:
            return "same"
        return "other"
    if wanted.how == "table":
        document = tomltext.parse_toml(text)
    else:
        document = jsontext.parse_json(text)
    try:
        found = jsontext.value_at(document, wanted.keys)
    except KeyError:
        return "none"
    if wanted.how == "element":
        return _find_among(found, wanted.value)
    if wanted.how == "table":
        value = tomltext.parse_toml(wanted.value)
    else:
        value = wanted.value
    if wanted.how == "default" or found == value:
        return "same"
    return "other"


def put_in(text: str | None, wanted: Addition, agents: tuple[str, ...]) -> tuple[str, Entry]:
    """The text with the addition, and its entry for the record. Raises Unfit."""
    if wanted.how == "file":
        return wanted.value, Entry(wanted.path, wanted.how, (), recorded_value(wanted), agents)
    if wanted.how == "table":
        new, added = tomltext.append_table(text or "", wanted.keys, wanted.value)
        return new, Entry(wanted.path, wanted.how, wanted.keys, added, agents)
    before = "{}\n"
    if text is not None:
        before = text
    done = jsontext.insert_value(before, wanted.keys, wanted.value, element=wanted.how == "element")
    return done.text, Entry(
        wanted.path, wanted.how, wanted.keys, wanted.value, agents, done.made, done.blank
    )


def take_out(text: str, entry: Entry, *, created: bool) -> str | None:
    """The text without what the entry added; the same text where it is gone; None where it was
    edited since.

    `created`: the file was not there before; a default then stays for what others have added to it.
    A file of its own
    that is unchanged becomes "". Raises Unfit.
    """
    if entry.how == "file":
        if sha256(text.encode()) == entry.value:
            return ""
        return None
    if entry.how == "table":
        return _without_table(text, entry)
    document = jsontext.parse_json(text)
    try:
        found = jsontext.value_at(document, entry.keys)
    except KeyError:
        return text
    if entry.how == "default":
        if found != entry.value or (created and _holds_others(document, entry)):
            return text
        return _remove_value(text, entry, None)
    if entry.how == "member":
        if found != entry.value:
            return None
        return _remove_value(text, entry, None)
    return _take_out_of_list(text, entry, found)


def _holds_others(document: dict[str, Any], entry: Entry) -> bool:
    """Whether anything that is not empty stands beside the entry."""
    others = [value for key, value in document.items() if key != entry.keys[0]]
    return any(value not in ({}, []) for value in others)


def _take_out_of_list(text: str, entry: Entry, found: Any) -> str | None:
    """The text without the entry's element of the list `found`, as `take_out` says it."""
    among = _find_among(found, entry.value)
    if among == "same":
        return _remove_value(text, entry, found.index(entry.value))
    was_edited = among == "other"
    if was_edited:
        return None
    return text


def is_empty(text: str, how: str) -> bool:
    """Whether nothing is left of a file that an install has made."""
    if how in ("file", "table"):
        return not text.strip()
    return bool(jsontext.parse_json(text) == {})


def _remove_value(text: str, entry: Entry, index: int | None) -> str:
    """Without the value, and without the containers that were made for it and are empty now."""
    text = jsontext.remove_value(text, entry.keys, index, entry.blank)
    # The innermost first: it may have been all that the one around it holds.
    for keys in reversed(entry.made):
        if jsontext.value_at(jsontext.parse_json(text), keys) not in ({}, []):
            continue
        blank = ""
        if keys == entry.made[0]:
            blank = entry.blank
        text = jsontext.remove_value(text, keys, None, blank)
    return text


def _without_table(text: str, entry: Entry) -> str | None:
    try:
        jsontext.value_at(tomltext.parse_toml(text), entry.keys)
    except KeyError:
        return text
    return tomltext.take_back(text, entry.keys, entry.value)


def _find_among(elements: Any, value: Any) -> Presence:
    """Whether a value is in a list, or what was made of it since, or neither.

    An element that runs the same command of skillrun is the same one, edited.
    """
    if not isinstance(elements, list):
        raise jsontext.Unfit("the list of hooks is no array")
    if value in elements:
        return "same"
    ours = set(_find_commands(value))
    if any(ours & set(_find_commands(element)) for element in elements):
        return "other"
    return "none"


def _find_commands(value: Any) -> Iterator[str]:
    """The hook commands of skillrun that stand anywhere in a value."""
    yield from _COMMAND.findall(json.dumps(value))
