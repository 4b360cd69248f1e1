"""Which other values a column may be given: from the database's own rules, from enums and choices,
and from what the application's code writes.
"""

from __future__ import annotations

import ast
import contextlib
import operator
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.proof.drafts import Guess, list_columns, list_values
from skillrun.proof.rivals import (
    ChangedRow,
    Contents,
    Rival,
    Values,
    is_word,
    name_change,
    name_decision,
)
from skillrun.proof.rows import Table, open_rows
from skillrun.repo.syntax import find_names

_MOST_ROWS = 3  # that one job changes
_MOST_DECISIONS = 2  # of one column
_MOST_FILES = 1500
_MOST_BYTES = 400_000
_SKIPPED = re.compile(r"(^|/)(\.|tests?/|test_|conftest|migrations/|node_modules/|venv/|alembic/)")
# What another delivery of the same job, and no other decision, leaves behind; and where every row
# begins.
_OF_THE_JOB = re.compile(
    r"process|sending|running|progress|claim|lock|start|ing$|queue|retry|new$|draft|pend|created",
    re.IGNORECASE,
)
_IN_LIST = r"['\"]?\b{column}\b['\"]?\s*(?:IN\s*\(|=\s*ANY\s*\(+\s*ARRAY\s*\[)([^)\]]*)"
_TEXT = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True)
class Code:
    """The application's own modules, parsed: not its tests, not its migrations."""

    trees: tuple[tuple[str, ast.Module], ...] = ()  # (path, module)

    def find_reached(self, handler: str) -> list[ast.AST]:
        """The functions and classes that a handler ("package.module:function") may come to, by
        their names: rather too many than too few.
        """
        named: dict[str, list[ast.AST]] = {}
        for _path, tree in self.trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    named.setdefault(node.name, []).append(node)
        waiting = handler.partition(":")[2].split(".")
        seen = set(waiting)
        found: list[ast.AST] = []
        while waiting:
            for node in named.get(waiting.pop(), ()):
                found.append(node)
                called = _list_names(node) - seen
                seen |= called
                waiting += called & named.keys()
        return found


def _list_names(node: ast.AST) -> set[str]:
    """Every name and attribute in it, its decorators and bases included."""
    attributes = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return find_names(node) | attributes


def read_code(root: Path, words: Iterable[str], modules: Iterable[str] = ()) -> Code:
    """The modules under a folder in which one of the words occurs, and those with these paths."""
    sought = re.compile("|".join(re.escape(word.lower()) for word in words) or r"(?!)")
    paths = set(modules)
    found: list[tuple[str, ast.Module]] = []
    for path in sorted(root.rglob("*.py"))[:_MOST_FILES]:
        name = path.relative_to(root).as_posix()
        if _SKIPPED.search(name):
            continue
        with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
            text = path.read_text(encoding="utf-8")
            is_wanted = name in paths or sought.search(text.lower()) is not None
            if len(text) <= _MOST_BYTES and is_wanted:
                found.append((name, ast.parse(text)))
    return Code(tuple(found))


def list_guesses(
    store: Any, root: Path, modules: Iterable[str], contents: Contents, names: Iterable[str]
) -> Iterator[Guess]:
    """What rows of these tables may have held before the application's own call, the words first
    that its code has for a column.
    """
    sought = {*names}
    wanted: list[Table] = []
    columns: set[str] = set()
    with open_rows(store) as rows:
        for table in rows.tables() if rows else ():
            if table.name.lower() in sought and table.primary:
                wanted.append(table)
                columns.update(list_columns(table))
    code = read_code(root, columns, modules)
    for table in wanted:
        held = [*contents.get(table.name, {}).values()]
        for column in list_columns(table):
            words = list(_list_words(store, code, table, column, held))
            for value in list_values(held, column, words):
                yield Guess(table, column, value)


def _list_words(
    store: Any, code: Code, table: Table, column: str, held: Iterable[Values]
) -> Iterator[str]:
    """The words that stand beside those that the rows hold."""
    known = set(filter(is_word, map(operator.itemgetter(column), held)))
    for word in sorted(known):
        yield from _find_in_code(code, (word, word))
        yield from _find_in_database(store, table.name, column, (word, word))
    if known:
        yield from find_written(code, column)


def list_rivals(
    store: Any, root: Path, handler: str, modules: Iterable[str], rows: Iterable[ChangedRow]
) -> list[Rival]:
    """What others may commit to the rows that a job changes. `modules`: of the repository, imported
    by the handler's process.
    """
    changed = list(rows)[:_MOST_ROWS]
    code = read_code(root, {name for row in changed for name in row.decided}, modules)
    reached = code.find_reached(handler)
    found: list[Rival] = []
    for row in changed:
        if row.untouched:
            found.append(name_change(row))
        for column in row.decided:
            values = (str(row.before[column]), str(row.after[column]))
            others = find_decisions(store, code, row.table.name, column, values)
            own = set(find_written(code, column, reached))
            # What nobody but the job itself writes comes last: it is the least likely decision.
            others.sort(key=own.__contains__)
            for value in others[:_MOST_DECISIONS]:
                found.append(name_decision(row, column, value, is_own=value in own))
    return found


def find_decisions(
    store: Any, code: Code, table: str, column: str, values: tuple[str, str]
) -> list[str]:
    """Other values than the two that the job itself finds and leaves, those first that the
    application's code writes.
    """
    found: dict[str, None] = {}  # as an ordered set
    for value in (
        *find_written(code, column),
        *_find_in_database(store, table, column, values),
        *_find_in_code(code, values),
    ):
        if value not in values and not _OF_THE_JOB.search(value):
            found[value] = None
    return list(found)


def _find_in_database(
    store: Any, table: str, column: str, values: tuple[str, str]
) -> Iterator[str]:
    """A CHECK, or PostgreSQL's own enum, that lists both values."""
    pattern = re.compile(_IN_LIST.format(column=re.escape(column)), re.IGNORECASE)
    with open_rows(store) as rows:
        for text in rows.rules(table) if rows else ():
            for match in pattern.finditer(text):
                listed = _TEXT.findall(match[1])
                if set(values) <= set(listed):
                    yield from listed


def _find_in_code(code: Code, values: tuple[str, str]) -> Iterator[str]:
    """A class, a list or a dict in which both values stand beside others."""
    for _path, tree in code.trees:
        for node in ast.walk(tree):
            listed = list(_list_texts(node))
            if set(values) <= set(listed):
                yield from listed


def _list_texts(node: ast.AST) -> Iterator[str]:
    """The texts of what names several values of one kind."""
    if isinstance(node, ast.ClassDef):
        for statement in node.body:
            if isinstance(statement, ast.Assign):
                yield from _first_text(statement.value)
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        for element in node.elts:
            yield from _first_text(element)
    elif isinstance(node, ast.Subscript):
        yield from _list_texts(node.slice)  # Literal["a", "b"]


def _first_text(node: ast.expr) -> Iterator[str]:
    """A text, or the first of a pair as Django's choices have it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple) and node.elts:
        yield from _first_text(node.elts[0])


def find_written(code: Code, column: str, within: Iterable[ast.AST] | None = None) -> Iterator[str]:
    """The values that code gives a column: in SQL, as an attribute, as a keyword of an update.
    `within`: these parts of it alone.
    """
    in_sql = re.compile(
        rf"\bset\b[^;]*?\b{re.escape(column)}\b['\"]?\s*=\s*'([^']*)'", re.IGNORECASE
    )
    members = dict(_find_members(code))
    parts = [tree for _path, tree in code.trees] if within is None else within
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from in_sql.findall(node.value)
            elif isinstance(node, ast.Assign | ast.keyword) and _gives_column(node, column):
                yield from _read_value(node.value, members)


def _gives_column(node: ast.Assign | ast.keyword, column: str) -> bool:
    """`order.status = value`, or `update(status=value)`."""
    if isinstance(node, ast.keyword):
        return node.arg == column
    return any(isinstance(one, ast.Attribute) and one.attr == column for one in node.targets)


def _read_value(node: ast.expr, members: dict[str, str]) -> Iterator[str]:
    """A text, or a member of an enum: `Status.VOID`, `Status.VOID.value`."""
    if isinstance(node, ast.Attribute) and node.attr == "value":
        node = node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
        owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
        if f"{owner}.{node.attr}" in members:
            yield members[f"{owner}.{node.attr}"]
    yield from _first_text(node)


def _find_members(code: Code) -> Iterator[tuple[str, str]]:
    """("Status.VOID", "void") for each text that a class names."""
    for _path, tree in code.trees:
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            for statement in node.body:
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                    for text in _first_text(statement.value):
                        yield f"{node.name}.{statement.targets[0].id}", text
