"""A hash covers long texts by their digests alone, so that one can be taken out later and every
hash stays true.

An event that carries `texts` in its seal is hashed with each string of more than LONG characters,
in its `data` and in the `detail` of its evidence, replaced by `sha256:<digest>`. A text that was
taken out leaves a mark with its digest, which counts as the text did. Keys are never replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from skillrun.core.canonical import quoted, sha256

# Characters: a digest stays as it is, a line of output does not.
LONG = 64
_MARKED = "[redacted sha256:"
_MARK = re.compile(r"\[redacted sha256:([0-9a-f]{64})\]")
# What is long between two quotes.
_RUN = re.compile(f'"([^"]{{{LONG + 1},}})"')
_MARK_AS_JSON = re.compile(f'"{_MARK.pattern}"(?!:)')


def is_long(text: str) -> bool:
    """Whether a string is hashed by its digest."""
    return len(text) > LONG


def has_long(value: Any) -> bool:
    """Whether any string in a JSON value is."""
    return any(is_long(text) for text in _walk_strings(value))


def escape_marks(value: Any) -> Any:
    """The value as an append may store it: a text that only looks like a mark gets a space behind
    it.
    """
    return _map_strings(value, _escape_mark)


def _escape_mark(text: str) -> str:
    # Else whoever writes an event could pretend that a text was there and was redacted.
    if _MARK.fullmatch(text):
        return f"{text} "
    return text


def hashed_text(text: str) -> str:
    """What a hash covers of a canonical JSON text. Raises ValueError for a long string that is
    written in another way.

    Works on the text itself: to parse it and to write it anew takes several times as long.
    """
    if not is_long(text):
        return text
    # No canonical JSON has a zero byte, and _long_spans puts some in the place of escaped quotes.
    if "\0" in text:
        raise ValueError("not JSON")
    pieces: list[str] = []
    done = 0
    for start, end in _long_spans(text):
        pieces += text[done:start], _digest_if_long(text[start:end])
        done = end
    return "".join((*pieces, text[done:]))


def _long_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the strings that are no keys and may be long begin and end, without their quotes."""
    # Escaped quotes hide behind zero bytes; the places stay the same.
    if "\\" in text:
        text = text.replace(r"\\", "\0\0").replace(r"\"", "\0\0")
    # How many quotes are before `at`: an even one opens a string.
    at = quotes = 0
    while found := _RUN.search(text, at):
        quotes += text.count('"', at, found.start())
        # The match began at a closing quote, and spans what is between two strings.
        if quotes % 2:
            at, quotes = found.end() - 1, quotes + 1
            continue
        # A colon behind it: it is a key.
        if not text.startswith(":", found.end()):
            yield found.span(1)
        at, quotes = found.end(), quotes + 2


def _digest_if_long(inside: str) -> str:
    """What counts in the place of a string, given as it is written between its quotes."""
    string = inside
    if "\\" in inside:
        string = json.loads(f'"{inside}"')
    # Escapes make a string longer on paper than it is.
    if not is_long(string):
        return inside
    # The same string in other escapes would have the same digest: a change that no hash shows.
    if quoted(string).encode("utf-8", "backslashreplace") != f'"{inside}"'.encode():
        raise ValueError("not canonical JSON")
    return f"sha256:{digest_of(string)}"


def digest_of(text: str) -> str:
    """sha256 of a text; of one that was taken out, the digest that its mark keeps."""
    mark = _MARK.fullmatch(text)
    if mark:
        return mark[1]
    return sha256(text.encode("utf-8", "surrogatepass"))


def long_texts(value: Any) -> dict[str, str]:
    """Digest -> text of every long string that is still there."""
    found = {}
    for text in _walk_strings(value):
        if is_long(text) and not _MARK.fullmatch(text):
            found[digest_of(text)] = text
    return found


def find_marks(text: Any) -> set[str]:
    """The digests of what was taken out of a canonical JSON text."""
    if not isinstance(text, str):
        return set()
    # Almost no text has one, and this look costs far less than the expression.
    if _MARKED not in text:
        return set()
    return set(_MARK_AS_JSON.findall(text))


def take_out(value: Any, digests: Collection[str]) -> Any:
    """The value with these texts taken out: a mark stands in the place of each."""

    def replace_by_mark(text: str) -> str:
        if is_long(text) and digest_of(text) in digests:
            return f"[redacted sha256:{digest_of(text)}]"
        return text

    return _map_strings(value, replace_by_mark)


def _walk_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _walk_strings(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _walk_strings(member)


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _map_strings(member, change) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_map_strings(member, change) for member in value]
    return value
