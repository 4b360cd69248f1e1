"""Reads JSON strictly and remembers the line of every value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from skillrun.contract.positions import MAX_DEPTH, MAX_NODES, Document, Path, YamlProblem

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL = re.compile(r"[^\s,\]}]+")


def load_json(text: str) -> Document:
    """One JSON document with positions. Raises `YamlProblem`; duplicate keys, NaN and infinity are
    refused.
    """
    if not text.strip():
        return Document(None, {(): 1})
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise YamlProblem(
            error.lineno,
            f"not JSON: {error.msg}",
            "mend the JSON; trailing commas and comments are not allowed",
        ) from error
    except RecursionError as error:
        raise YamlProblem(1, f"nested deeper than {MAX_DEPTH} levels", "flatten it") from error
    except ValueError as error:
        raise YamlProblem(
            1, f"not JSON: {error}", "write a finite number of reasonable length, or quote it"
        ) from error
    walk = _Walk(text)
    walk.value((), 0)
    return Document(value, walk.lines)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


class _Walk:
    """A second pass over a text that is known to be JSON; it only looks where things stand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1

    def value(self, path: Path, depth: int) -> None:
        self._skip()
        self.lines.setdefault(path, self._here())
        if depth > MAX_DEPTH:
            raise YamlProblem(self._here(), f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        if len(self.lines) > MAX_NODES:
            raise YamlProblem(self._here(), f"more than {MAX_NODES:,} values", "write less")
        opening = self.text[self.at]
        if opening == "{":
            self._members("}", lambda: self._member(path, depth))
        elif opening == "[":
            self._items(path, depth)
        else:
            self._token(_STRING if opening == '"' else _LITERAL)

    def _items(self, path: Path, depth: int) -> None:
        index = iter(range(len(self.text)))
        self._members("]", lambda: self.value((*path, next(index)), depth + 1))

    def _members(self, closing: str, member: Callable[[], None]) -> None:
        self.at += 1
        self._skip()
        while self.text[self.at] != closing:
            member()
            self._skip()
            if self.text[self.at] == ",":
                self.at += 1
                self._skip()
        self.at += 1

    def _member(self, path: Path, depth: int) -> None:
        self._skip()
        line = self._here()
        key = json.loads(self._token(_STRING))
        here = (*path, key)
        if here in self.lines:
            raise YamlProblem(
                line,
                f"the key {key!r} is given twice, first in line {self.lines[here]}",
                "keep one of them",
            )
        self.lines[here] = line
        self._skip()
        self.at += 1  # the colon
        self.value(here, depth + 1)

    def _token(self, form: re.Pattern[str]) -> str:
        match = form.match(self.text, self.at)
        assert match is not None, "json.loads accepted the text"
        self.at = match.end()
        return match[0]

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line
