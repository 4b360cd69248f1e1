"""Fits pieces into the files of a repository, in memory."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from skillrun.errors import Refused
from skillrun.frameworks.pieces import Entry, Line, Module, NewFile, Piece, Section, SpecParts
from skillrun.scaffold.completion import completed
from skillrun.scaffold.plan import Change, Kept

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree


class Fitting:
    """The texts of the files that pieces change, as changed so far."""

    def __init__(self, tree: Tree, own: Collection[str]) -> None:
        self._tree = tree
        self._own = own  # the repository's top-level packages
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str | None] = {}
        self.kept: list[Kept] = []

    def add(self, piece: Piece) -> None:
        """Raises CannotEdit where a file cannot be edited."""
        from skillrun.scaffold.editing import literals, merge, sections

        text = self._text(piece.path)
        if isinstance(piece, Module):
            merged = merge.merge_module(piece.path, text, piece.source, self._own)
            self._after[piece.path] = merged.text
            self.kept += [kept for kept in merged.kept if kept.name != "__doc__"]  # it has words of its own
        elif isinstance(piece, NewFile):
            self._add_file(piece, text)
        elif isinstance(piece, Entry):
            self._after[piece.path] = literals.add_entry(piece.path, text or "", piece, self._own)
        elif isinstance(piece, Section):
            self._after[piece.path] = sections.add_section(text, piece)
        elif isinstance(piece, Line):
            self._after[piece.path] = _with_line(text or "", piece.text)
        elif isinstance(piece, SpecParts):
            self._after[piece.path] = completed(text or "", piece.path, piece.parts)

    def changes(self) -> Iterator[Change]:
        """What is different from the disk."""
        for path, after in self._after.items():
            if after is not None and after != self._before[path]:
                yield Change(path, self._before[path], after)

    def _text(self, path: str) -> str | None:
        if path not in self._before:
            data = self._tree.read(path)
            self._before[path] = self._after[path] = None if data is None else _decoded(data, path)
        return self._after[path]

    def _add_file(self, piece: NewFile, text: str | None) -> None:
        if text is None:
            self._after[piece.path] = piece.text
        elif _unmarked(text, piece) != _unmarked(piece.text, piece):
            self.kept.append(Kept(piece.path, 1, piece.path, _diff(piece.path, text, piece.text)))


def _unmarked(text: str, piece: NewFile) -> str:
    for mark in piece.marks[1:]:
        text = text.replace(mark, piece.marks[0])
    return text


def _decoded(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(f"{path}: not UTF-8; nothing was written", hint="save it as UTF-8, or write by hand") from None


def _with_line(text: str, line: str) -> str:
    if line in text.splitlines():
        return text
    end = "" if text.endswith("\n") or not text else "\n"
    return f"{text}{end}{line}\n"


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), path, f"{path} (scaffold)", lineterm="")
    return "\n".join(lines)
