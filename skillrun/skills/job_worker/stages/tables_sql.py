"""Tables and unique keys that SQL declares, in .sql files and in the strings of Python files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_QUOTED = r"[\"`\[]?(?:\w+[\"`\]]?\.[\"`\[]?)?(?P<table>\w+)[\"`\]]?"
_CREATE = re.compile(
    rf"create\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{_QUOTED}\s*\(", re.I
)
_INDEX = re.compile(
    rf"create\s+unique\s+index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?\S+\s+on\s+(?:only\s+)?{_QUOTED}"
    r"\s*(?:using\s+\w+\s*)?\(",
    re.I,
)
_ALTER = re.compile(
    rf"alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?{_QUOTED}\s+(?P<rest>[^;]*)", re.I
)
_ADDED = re.compile(r"\badd\s+(?:constraint\s+\S+\s+)?(?:unique|primary\s+key)\b[^(,]*\(", re.I)
_TABLE_WIDE = re.compile(r"\s*(?:constraint\s+\S+\s+)?(?:unique|primary\s+key)\b[^(]*\(", re.I)
_PRIMARY = re.compile(r"\s*(?:constraint\s+\S+\s+)?primary\s+key\b[^(]*\(", re.I)
_WIDE_WORD = re.compile(
    r"\s*(?:constraint|unique|primary|foreign|check|key|index|exclude|like)\b", re.I
)
_COLUMN = re.compile(r"\s*[\"`\[]?(\w+)[\"`\]]?\s+(.*)", re.S)
_NAME = re.compile(
    r"[\"`\[]?(\w+)[\"`\]]?(?:\s+(?:asc|desc|collate\s+\S+|nulls\s+\w+|\w+_ops))*", re.I
)
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.S)


@dataclass(frozen=True)
class Table:
    """A table as some file declares it: each set of columns that the database keeps unique."""

    name: str
    path: str
    line: int
    unique: tuple[frozenset[str], ...]
    exact: bool = (
        True  # declared under this very name; False: the name is only what an ORM may derive
    )
    # Columns that may be NULL, and so repeat in spite of UNIQUE.
    nullable: frozenset[str] = frozenset()
    # As far as they are declared here; an index and an ALTER declare none.
    columns: frozenset[str] = frozenset()
    # A base class that may declare more columns and keys than can be seen.
    unread_base: str | None = None


def sql_tables(path: str, text: str, name: str, first_line: int = 1) -> Iterator[Table]:
    """What a piece of SQL says of one table. Comments and quoted values say nothing."""
    text = _SILENT.sub(_blank, text)
    for match in _CREATE.finditer(text):
        if match["table"].lower() == name.lower():
            body = _inside(text, match.end() - 1)
            created = _table(name, path, text, match.start(), first_line, _unique_in(body))
            yield replace(created, nullable=_nullable_in(body), columns=_columns_in(body))
    for match in _INDEX.finditer(text):
        if match["table"].lower() == name.lower():
            yield _table(
                name, path, text, match.start(), first_line, _indexed(text, match.end() - 1)
            )
    for match in _ALTER.finditer(text):
        if match["table"].lower() == name.lower() and (groups := tuple(_added(match["rest"]))):
            yield _table(name, path, text, match.start(), first_line, groups)


def _table(
    name: str, path: str, text: str, start: int, first_line: int, unique: tuple[frozenset[str], ...]
) -> Table:
    return Table(name, path, first_line + text.count("\n", 0, start), unique)


def _blank(match: re.Match[str]) -> str:
    """Spaces, and the line ends, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", match[0])


def _inside(text: str, start: int) -> str:
    """What stands between the parenthesis at `start` and its partner."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position]
    return text[start + 1 :]


def _unique_in(body: str) -> tuple[frozenset[str], ...]:
    found = []
    for part in _parts(body):
        if columns := _unique_part(part):
            found.append(columns)
    return tuple(found)


def _unique_part(part: str) -> frozenset[str]:
    """The columns that one line of a CREATE TABLE keeps unique; empty where it does not."""
    wide = _TABLE_WIDE.match(part)
    if wide:
        return columns_of(_inside(part, wide.end() - 1))
    column = _COLUMN.match(part)
    if column and re.search(r"\b(unique|primary\s+key)\b", _without_parentheses(column[2]), re.I):
        return frozenset({column[1].lower()})
    return frozenset()


def _nullable_in(body: str) -> frozenset[str]:
    """Columns without NOT NULL; none where the table says NULLS NOT DISTINCT, or in a primary
    key.
    """
    if re.search(r"\bnulls\s+not\s+distinct\b", body, re.I):
        return frozenset()
    parts = list(_parts(body))
    primary = [
        columns_of(_inside(part, m.end() - 1)) for part in parts if (m := _PRIMARY.match(part))
    ]
    columns = [m for part in parts if not _WIDE_WORD.match(part) and (m := _COLUMN.match(part))]
    loose = {
        m[1].lower()
        for m in columns
        if not re.search(r"\bnot\s+null\b|\bprimary\s+key\b|serial", m[2], re.I)
    }
    return frozenset(loose).difference(*primary)


def _columns_in(body: str) -> frozenset[str]:
    """The names of a table's columns."""
    found = set()
    for part in _parts(body):
        column = _COLUMN.match(part)
        if column and not _WIDE_WORD.match(part):
            found.add(column[1].lower())
    return frozenset(found)


def _without_parentheses(text: str) -> str:
    return re.sub(r"\([^()]*\)", " ", text)


def _indexed(text: str, start: int) -> tuple[frozenset[str], ...]:
    """The columns of a unique index; none where it covers only some rows (WHERE) or an
    expression.
    """
    inside = _inside(text, start)
    rest = text[start + len(inside) + 2 :].partition(";")[0]
    columns = columns_of(inside)
    partial = re.match(r"[^;]*?\bwhere\b", _up_to_next_statement(rest), re.I)
    if partial or not columns:
        return ()
    return (columns,)


def _up_to_next_statement(text: str) -> str:
    return re.split(r"\b(?:create|alter|insert|drop|select)\b", text, maxsplit=1, flags=re.I)[0]


def _added(rest: str) -> Iterator[frozenset[str]]:
    for match in _ADDED.finditer(rest):
        columns = columns_of(_inside(rest, match.end() - 1))
        if columns:
            yield columns


def columns_of(text: str) -> frozenset[str]:
    """The column names of a list; empty where one of them is an expression, which is another
    promise.
    """
    names = []
    for part in _parts(text):
        if part.strip():
            names.append(_NAME.fullmatch(part.strip()))
    if not all(names):
        return frozenset()
    return frozenset(match[1].lower() for match in names if match)


def _parts(body: str) -> Iterator[str]:
    """What commas outside of parentheses separate."""
    depth, start = 0, 0
    for position, character in enumerate(body):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            yield body[start:position]
            start = position + 1
    yield body[start:]
