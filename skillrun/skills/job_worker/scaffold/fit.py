"""Fits pieces into the files of a repository, in memory."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from skillrun.core.errors import Refused
from skillrun.core.files import Files
from skillrun.frameworks.pieces import (
    Conventions,
    Entry,
    Line,
    Module,
    NewFile,
    Piece,
    Rewritten,
    Section,
    SpecParts,
)
from skillrun.runner.changes import Change, Kept
from skillrun.skills.job_worker.scaffold.completion import completed
from skillrun.skills.job_worker.scaffold.editing.bindings import Follow, unfollowed

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree


Style = Callable[[str, str], str]
"""(path, source of a module) -> the source in the repository's manner."""


def no_style(path: str, source: str) -> str:
    """As the templates write it."""
    return source


class Fitting:
    """The texts of the files that pieces change, as changed so far."""

    def __init__(
        self,
        tree: Tree,
        own: Collection[str],
        style: Style = no_style,
        line_length: int = Conventions.line_length,
        follow: Follow = unfollowed,
    ) -> None:
        self._tree = tree
        self._ignored = Files(tree.root)
        # The repository's top-level packages.
        self._own = own
        self._style = style
        self._line_length = line_length
        self._follow = follow
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str | None] = {}
        self.kept: list[Kept] = []

    def add(self, piece: Piece) -> None:
        """Raises CannotEdit where a file cannot be edited."""
        from skillrun.skills.job_worker.scaffold.editing import literals, merge, sections

        text, given = self._text_of(piece.path), (self._own, self._line_length, self._follow)
        if isinstance(piece, Module):
            styled = self._style(piece.path, piece.source)
            merged = merge.merge_module(piece.path, text, styled, *given)
            self._after[piece.path] = merged.text
            # It has words of its own.
            self.kept += [kept for kept in merged.kept if kept.name != "__doc__"]
        elif isinstance(piece, NewFile):
            self._add_file(piece, text)
        elif isinstance(piece, Entry):
            self._after[piece.path] = literals.add_entry(piece.path, text or "", piece, *given)
        elif isinstance(piece, Section):
            self._after[piece.path] = sections.add_section(text, piece)
        elif isinstance(piece, Line):
            self._after[piece.path] = _with_line(text or "", piece.text)
        elif isinstance(piece, Rewritten):
            self._after[piece.path] = _rewrite_lines(text, piece)
        elif isinstance(piece, SpecParts):
            self._after[piece.path] = completed(text or "", piece.path, piece.parts)

    def changes(self) -> Iterator[Change]:
        """What is different from the disk."""
        for path, after in self._after.items():
            if after is not None and after != self._before[path]:
                yield Change(path, self._before[path], after)

    def _text_of(self, path: str) -> str | None:
        if path not in self._before:
            data = self._tree.read(path)
            # A rule such as `*.json` of a .gitignore keeps it out of the tree.
            if data is None:
                data = self._ignored.data(path)
            self._before[path] = self._after[path] = (
                None if data is None else _decode_file(data, path)
            )
        return self._after[path]

    def _add_file(self, piece: NewFile, text: str | None) -> None:
        python = piece.path.endswith(".py")
        if python:
            wanted = self._style(piece.path, piece.text)
        else:
            wanted = piece.text
        if text is None:
            self._after[piece.path] = wanted
        elif _drop_marks(text, piece) != _drop_marks(wanted, piece) and not (
            python and _same_code(text, wanted)
        ):
            self.kept.append(Kept(piece.path, 1, piece.path, _diff_texts(piece.path, text, wanted)))


def _drop_marks(text: str, piece: NewFile) -> str:
    for mark in piece.marks[1:]:
        text = text.replace(mark, piece.marks[0])
    return text


def _same_code(text: str, wanted: str) -> bool:
    """Whether two modules differ by what a formatter may change alone: layout, quotes, the order of
    imports.
    """
    from skillrun.skills.job_worker.scaffold.editing.source import means_same

    try:
        left, right = _imports_first(text), _imports_first(wanted)
    except SyntaxError:
        return False
    return len(left) == len(right) and all(
        means_same(one, other) for one, other in zip(left, right, strict=True)
    )


def _imports_first(text: str) -> list[ast.stmt]:
    """The statements of a module, its imports one name each, in order of their text."""
    body = ast.parse(text).body
    single = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for one in _split_imports(node):
                single.append(one)
    others = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return [*sorted(single, key=ast.unparse), *others]


def _split_imports(node: ast.Import | ast.ImportFrom) -> list[ast.stmt]:
    if isinstance(node, ast.Import):
        return [ast.Import([name]) for name in node.names]
    return [ast.ImportFrom(node.module, [name], node.level) for name in node.names]


def _decode_file(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Refused(
            f"{path}: not UTF-8; nothing was written", hint="save it as UTF-8, or write by hand"
        ) from None


def _with_line(text: str, line: str) -> str:
    if line in text.splitlines():
        return text
    end = "\n"
    if text.endswith("\n") or not text:
        end = ""
    return f"{text}{end}{line}\n"


def _rewrite_lines(text: str | None, piece: Rewritten) -> str | None:
    lines = (text or "").splitlines(keepends=True)
    made = []
    for line in lines:
        made.append(line.replace(piece.line, piece.text) if line.strip() == piece.line else line)
    if text is None:
        return None
    return "".join(made)


def _diff_texts(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), path, f"{path} (scaffold)", lineterm=""
    )
    return "\n".join(lines)
