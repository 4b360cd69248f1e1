"""Which other values a column may be given: from the database's own rules, from enums and choices,
and from what the application's code writes.
"""

from __future__ import annotations

import ast
import contextlib
import operator
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from skillrun.core.opening import read_utf8
from skillrun.proof.before_call import Guess, list_columns, list_values
from skillrun.proof.column_writers import ColumnWriters, Write
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
from skillrun.repo.places import is_plainly_test, is_vendored
from skillrun.repo.syntax import find_names

if TYPE_CHECKING:
    from skillrun.contract.job import Proof

_MOST_ROWS = 3  # that one job changes
_MOST_DECISIONS = 2  # of one column
_MOST_FILES = 1500
_MOST_BYTES = 400_000
_NOT_THE_APPLICATION = re.compile(r"(^|/)(\.|migrations/|alembic/)")
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

    def find_functions(self, places: Iterable[tuple[str, int]]) -> list[ast.AST]:
        """The innermost functions that hold these lines."""
        modules = dict(self.trees)
        found: list[ast.AST] = []
        for path, line in set(places):
            if path in modules:
                found += _find_innermost(modules[path], line)
        return found

    @cached_property
    def writers(self) -> ColumnWriters:
        """The same, read for who gives a column its values."""
        return ColumnWriters(tree for _path, tree in self.trees)


def _find_innermost(tree: ast.Module, line: int) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The function that a line stands in; none for a line outside of all."""
    inner: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    # Outer ones come before those within them.
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            inner = [node]
    return inner


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
        if is_plainly_test(name) or is_vendored(name) or _NOT_THE_APPLICATION.search(name):
            continue
        with contextlib.suppress(OSError, ValueError, SyntaxError, RecursionError):
            text = read_utf8(path, _MOST_BYTES)
            is_wanted = name in paths or sought.search(text.lower()) is not None
            if is_wanted:
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
    for write in code.writers.list_writes(column) if known else ():
        if code.writers.is_of(write.owners, table.name):
            yield write.value


def list_rivals(
    store: Any,
    root: Path,
    handler: str,
    modules: Iterable[str],
    rows: Iterable[ChangedRow],
    places: Iterable[tuple[str, int]] = (),
    ends: Collection[tuple[str, str, Any]] = (),
) -> list[Rival]:
    """What others may commit to the rows that a job changes. `modules`: of the repository, imported
    by the handler's process; `places`: where the single run spoke to a store or had an effect;
    `ends`: (table, column, value) that the job leaves where it fails.
    """
    changed = list(rows)[:_MOST_ROWS]
    sought: set[str] = set()
    for row in changed:
        sought.update(row.decided, row.untouched)
    code = read_code(root, sought, modules)
    own = [*code.find_reached(handler), *code.find_functions(places)]
    found: list[Rival] = []
    for row in changed:
        if row.untouched:
            found.append(name_change(row, _list_unwritten(code, row, own)))
        for column in row.decided:
            found += _name_decisions(store, code, row, column, changed, own, ends)
    return found


def choose_rivals(
    found: Iterable[Rival], rows: Iterable[ChangedRow], asked: Proof | None
) -> tuple[list[Rival], list[str]]:
    """Those that were found, without those that the spec leaves out, with those that it adds; and
    what it adds of rows or columns that the job does not change.
    """
    if asked is None:
        return list(found), []
    chosen = [rival for rival in found if rival.text not in asked.not_rivals]
    known = {rival.text for rival in chosen}
    missing: list[str] = []
    for text in asked.rivals:
        made = _read_rival(text, rows)
        if made is None:
            missing.append(text)
        elif text not in known:
            chosen.append(made)
    return chosen, missing


def _read_rival(text: str, rows: Iterable[ChangedRow]) -> Rival | None:
    """The decision of a text, "orders.status:void". None where no row has its table and column."""
    table, _, rest = text.partition(".")
    column, _, value = rest.partition(":")
    for row in rows:
        if row.table.name == table and column in row.before:
            return name_decision(row, column, _make_like(row.before[column], unquote(value)))
    return None


def _make_like(held: Any, text: str) -> Any:
    """A value of the kind that the column holds."""
    if isinstance(held, int | float) and text.lstrip("-").isdigit():
        return type(held)(int(text))
    return text


def _name_decisions(
    store: Any,
    code: Code,
    row: ChangedRow,
    column: str,
    changed: Iterable[ChangedRow],
    own: Collection[ast.AST],
    ends: Collection[tuple[str, str, Any]],
) -> list[Rival]:
    """The decisions on one column, the likeliest first: what somebody else's code writes, what the
    job's own does, what nobody's does.
    """
    values = (str(row.before[column]), str(row.after[column]))
    writes = list_writes(code, row.table.name, column)
    guards = [
        (one.table.name, name, _find_ends(one, name)) for one in changed for name in one.changed
    ]
    found: list[Rival] = []
    for value in find_decisions(store, code, row.table.name, column, values):
        mine = [write for write in writes if write.value == value]
        if mine and not any(write.can_follow(values[0]) for write in mine):
            continue  # whoever writes it asks for what the row is not
        others = [write for write in mine if write.scope not in own]
        is_of_job = len(others) < len(mine) or (row.table.name, column, value) in ends
        is_minor = is_of_job or not mine
        is_late = any(code.writers.comes_any_time(write, guards) for write in others)
        found.append(name_decision(row, column, value, is_minor=is_minor, comes_later=is_late))
    found.sort(key=lambda rival: rival.is_minor)
    return found[:_MOST_DECISIONS]


def _list_unwritten(code: Code, row: ChangedRow, own: Collection[ast.AST]) -> Iterator[str]:
    """Columns to which nobody else's code gives another value, whatever it is."""
    for column in row.untouched:
        if not code.writers.may_change(row.table.name, column, own):
            yield column


def _find_ends(row: ChangedRow, column: str) -> frozenset[str]:
    return frozenset((str(row.before[column]), str(row.after[column])))


def list_writes(code: Code, table: str, column: str) -> list[Write]:
    """The places that give the column of this table a value, or may do so."""
    writes = code.writers.list_writes(column)
    return [write for write in writes if code.writers.is_of(write.owners, table)]


def find_decisions(
    store: Any, code: Code, table: str, column: str, values: tuple[str, str]
) -> list[str]:
    """Other values than the two that the job itself finds and leaves, those first that the
    application's code writes.
    """
    found: dict[str, None] = {}  # as an ordered set
    for value in (
        *(write.value for write in list_writes(code, table, column)),
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
