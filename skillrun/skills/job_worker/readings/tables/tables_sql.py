"""Tables and unique keys that SQL declares, in .sql files and in the strings of Python files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# receipts, "receipts", billing.receipts, [billing].[receipts]
_QUOTED = r"[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(?P<table>\w+)[\"`\]]?"
# CREATE TABLE IF NOT EXISTS receipts (
_CREATE = re.compile(
    rf"create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{_QUOTED}\s*\(", re.I
)
# CREATE UNIQUE INDEX by_key ON receipts USING btree (
_INDEX = re.compile(
    rf"create\s+unique\s+index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?\S+\s+on\s+(?:only\s+)?{_QUOTED}"
    r"\s*(?:using\s+\w+\s*)?\(",
    re.I,
)
# ALTER TABLE ONLY receipts ADD CONSTRAINT ...;
_ALTER = re.compile(
    rf"alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?{_QUOTED}\s+(?P<rest>[^;]*)", re.I
)
# ADD CONSTRAINT one_each UNIQUE (
_ADDED = re.compile(r"\badd\s+(?:constraint\s+\S+\s+)?(?:unique|primary\s+key)\b[^(,]*\(", re.I)
# A line of CREATE TABLE that makes columns unique together: CONSTRAINT one_each UNIQUE (
_TABLE_WIDE = re.compile(r"\s*(?:constraint\s+\S+\s+)?(?:unique|primary\s+key)\b[^(]*\(", re.I)
_PRIMARY = re.compile(r"\s*(?:constraint\s+\S+\s+)?primary\s+key\b[^(]*\(", re.I)
# The first word of a line of CREATE TABLE that is no column.
_WIDE_WORD = re.compile(
    r"\s*(?:constraint|unique|primary|foreign|check|key|index|exclude|like)\b", re.I
)
# A column's name, and what is said of it: order_id INTEGER NOT NULL
_COLUMN = re.compile(r"\s*[\"`\[]?(\w+)[\"`\]]?\s+(.*)", re.S)
# A column in a list, with its order: created_at DESC NULLS LAST
_NAME = re.compile(
    r"[\"`\[]?(\w+)[\"`\]]?(?:\s+(?:asc|desc|collate\s+\S+|nulls\s+\w+|\w+_ops))*", re.I
)
# Comments and quoted values.
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.S)


@dataclass(frozen=True)
class Table:
    """A table as some file declares it: each set of columns that the database keeps unique."""

    name: str
    path: str
    line: int
    unique: tuple[frozenset[str], ...]
    # Declared under this very name. False: the name is only what an ORM may derive.
    exact: bool = True
    # Columns that may be NULL, and so repeat in spite of UNIQUE.
    nullable: frozenset[str] = frozenset()
    # As far as they are declared here; an index and an ALTER declare none.
    columns: frozenset[str] = frozenset()
    # A base class that may declare more columns and keys than can be seen.
    unread_base: str | None = None


def sql_tables(path: str, text: str, name: str, first_line: int = 1) -> Iterator[Table]:
    """What a piece of SQL says of one table. Comments and quoted values say nothing."""
    text = _SILENT.sub(_blank_out, text)
    for match in _find_statements(_CREATE, text, name):
        body = _read_inside(text, match.end() - 1)
        yield Table(
            name,
            path,
            first_line + _count_lines_before(match),
            _list_unique(body),
            nullable=_list_nullable(body),
            columns=_list_columns(body),
        )
    for match in _find_statements(_INDEX, text, name):
        groups = _list_indexed(text, match.end() - 1)
        yield Table(name, path, first_line + _count_lines_before(match), groups)
    for match in _find_statements(_ALTER, text, name):
        groups = tuple(_list_added(match["rest"]))
        if groups:
            yield Table(name, path, first_line + _count_lines_before(match), groups)


def _find_statements(pattern: re.Pattern[str], text: str, table: str) -> Iterator[re.Match[str]]:
    """The matches of a pattern that are about this table."""
    for match in pattern.finditer(text):
        if match["table"].lower() == table.lower():
            yield match


def _count_lines_before(match: re.Match[str]) -> int:
    return match.string.count("\n", 0, match.start())


def _blank_out(match: re.Match[str]) -> str:
    """Spaces, and the line ends, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", match[0])


def _read_inside(text: str, start: int) -> str:
    """What stands between the parenthesis at `start` and its partner."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position]
    return text[start + 1 :]


def _list_unique(body: str) -> tuple[frozenset[str], ...]:
    """The groups of columns that a CREATE TABLE keeps unique."""
    groups = []
    for part in _split_at_commas(body):
        columns = _read_unique_line(part)
        if columns:
            groups.append(columns)
    return tuple(groups)


def _read_unique_line(part: str) -> frozenset[str]:
    """The columns that one line of a CREATE TABLE keeps unique; empty where it does not."""
    wide = _TABLE_WIDE.match(part)
    if wide:
        return columns_of(_read_inside(part, wide.end() - 1))
    column = _COLUMN.match(part)
    if column and re.search(r"\b(unique|primary\s+key)\b", _without_parentheses(column[2]), re.I):
        return frozenset({column[1].lower()})
    return frozenset()


def _list_nullable(body: str) -> frozenset[str]:
    """The columns without NOT NULL that are in no primary key."""
    # The database then takes two NULLs for the same value.
    if re.search(r"\bnulls\s+not\s+distinct\b", body, re.I):
        return frozenset()
    nullable, primary = set[str](), set[str]()
    for part in _split_at_commas(body):
        key = _PRIMARY.match(part)
        if key:
            primary |= columns_of(_read_inside(part, key.end() - 1))
        column = _match_column(part)
        # A serial column is never null.
        if column and not re.search(r"\bnot\s+null\b|\bprimary\s+key\b|serial", column[2], re.I):
            nullable.add(column[1].lower())
    return frozenset(nullable - primary)


def _list_columns(body: str) -> frozenset[str]:
    """The names of a table's columns."""
    names = set()
    for part in _split_at_commas(body):
        column = _match_column(part)
        if column:
            names.add(column[1].lower())
    return frozenset(names)


def _match_column(part: str) -> re.Match[str] | None:
    """A line of CREATE TABLE that declares a column; None for a constraint."""
    if _WIDE_WORD.match(part):
        return None
    return _COLUMN.match(part)


def _without_parentheses(text: str) -> str:
    return re.sub(r"\([^()]*\)", " ", text)


def _list_indexed(text: str, start: int) -> tuple[frozenset[str], ...]:
    """The columns of a unique index, as a group; none where it covers only some rows (WHERE) or an
    expression. `start` is where its parenthesis opens.
    """
    inside = _read_inside(text, start)
    both_parentheses = 2
    rest = text[start + len(inside) + both_parentheses :].partition(";")[0]
    columns = columns_of(inside)
    is_partial = re.match(r"[^;]*?\bwhere\b", _cut_at_next_statement(rest), re.I)
    if is_partial or not columns:
        return ()
    return (columns,)


def _cut_at_next_statement(text: str) -> str:
    """The text up to the next statement: not everybody ends one with a semicolon."""
    return re.split(r"\b(?:create|alter|insert|drop|select)\b", text, maxsplit=1, flags=re.I)[0]


def _list_added(rest: str) -> Iterator[frozenset[str]]:
    """The groups of columns that an ALTER TABLE makes unique."""
    for match in _ADDED.finditer(rest):
        columns = columns_of(_read_inside(rest, match.end() - 1))
        if columns:
            yield columns


def columns_of(text: str) -> frozenset[str]:
    """The column names of a list; empty where one of them is an expression, which is another
    promise.
    """
    names = set()
    for part in _split_at_commas(text):
        if not part.strip():
            continue
        match = _NAME.fullmatch(part.strip())
        if match is None:
            return frozenset()
        names.add(match[1].lower())
    return frozenset(names)


def _split_at_commas(body: str) -> Iterator[str]:
    """What commas outside of parentheses separate."""
    depth, start = 0, 0
    for position, character in enumerate(body):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield body[start:position]
            start = position + 1
    yield body[start:]
