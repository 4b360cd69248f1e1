"""What a SQL statement does, read from its text: its verb, its table, and every table that it
writes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"""
    r"""|"(?:[^"]|"")*"|`[^`]*`|\[[A-Za-z_][^\]]*\]|\w+|\S""",
    re.S,
)
# Compiled once, and not in each delivery.
_WORD, _NAME = re.compile(r"\w"), re.compile(r"[\w\"]")
# FOR NO KEY UPDATE, ON CONFLICT DO UPDATE, ON UPDATE CASCADE.
_NO_UPDATE_AFTER = (
    "for",
    "do",
    "on",
    "key",
    "of",
)
_TRANSACTION = ("commit", "end", "rollback", "abort", "begin", "start", "savepoint", "release")
_SYNONYMS = {"end": "commit", "abort": "rollback", "start": "begin"}
_DDL = ("create", "drop", "alter")
_KINDS = (
    "table",
    "index",
    "view",
    "trigger",
    "sequence",
    "schema",
    "type",
    "function",
    "extension",
    "procedure",
)

_MAY_REACH = re.compile(
    r"copy|lo_(?:ex|im)port|pg_(?:read|ls|stat|file)_|dblink|system|subscription|server", re.I
)
_REACHING = re.compile(
    r"lo_(?:ex|im)port|pg_read_(?:binary_)?file|pg_ls_\w*dir|pg_stat_file|pg_file_\w+|dblink\w*"
)


class Parsed(NamedTuple):
    """`table` is the last part of its name, lower case; "" where there is none. `written`: all that
    it writes.
    """

    verb: str
    table: str
    written: tuple[str, ...] = ()


@functools.lru_cache(maxsize=1000)
def parse_statement(sql: str) -> Parsed:
    """The verb of a statement that writes inside of a WITH is that of the write.

    >>> parse_statement('INSERT INTO "shop"."receipts" VALUES (1)')
    Parsed(verb='insert', table='receipts', written=('receipts',))
    >>> parse_statement("with old as (delete from a returning *) insert into b select 1")[1:]
    ('a', ('a', 'b'))
    """
    words = list(_split_words(sql))
    first = next((word for word in words if word != "("), "?")
    if first in _DDL:
        name = _find_created(words)
        return Parsed(first, name, (name,) if name else ())
    writes: list[tuple[str, str]] = []
    # EXPLAIN does nothing, and EXPLAIN ANALYZE does what it explains.
    if first != "explain" or "analyze" in words:
        writes = list(_find_writes(words))
    if writes:
        verb, table = writes[0]
        tables = dict.fromkeys(name for _, name in writes if name)
        return Parsed(verb, table, tuple(tables))
    if first in _TRANSACTION:
        return _parse_transaction(first, words)
    verb = "select"
    if first not in ("with", "values", "table", "copy"):
        verb = first
    if not _WORD.match(verb):
        verb = "?"
    return Parsed(verb, _find_table_read(words))


@functools.lru_cache(maxsize=1000)
def find_reach(sql: str) -> str | None:
    """What a statement of PostgreSQL does beyond its database: a program, a file or another server.

    >>> find_reach("copy (select 1) to program 'sh'")
    'COPY PROGRAM'
    >>> find_reach("copy t to stdout (delimiter ',')") is None
    True
    """
    if not _MAY_REACH.search(sql):
        return None
    words = list(_split_words(sql))
    if words[:2] in (["alter", "system"], ["create", "subscription"], ["create", "server"]):
        return " ".join(words[:2]).upper()
    if words[:1] == ["copy"]:
        return _find_copied(words)
    for at, name in enumerate(words[:-1]):
        if words[at + 1] == "(" and _REACHING.fullmatch(name.lstrip('"')):
            return name.lstrip('"')
    return None


def _find_copied(words: list[str]) -> str | None:
    """PROGRAM, or the literal that is a file's name, after the TO or FROM of the
    outermost level.
    """
    depth = 0
    for at, word in enumerate(words[:-1]):
        depth += (word == "(") - (word == ")")
        if depth or word not in ("to", "from"):
            continue
        if words[at + 1] == "program":
            return "COPY PROGRAM"
        if words[at + 1] == "'":
            return "COPY of a file"
    return None


def _split_words(sql: str) -> Iterator[str]:
    """Lower case; a quoted name begins with a double quote, a literal is a single quote; comments
    are gone.
    """
    for match in _TOKEN.finditer(sql):
        token = match.group()
        if token.startswith(("--", "/*")) and len(token) > 1:
            continue
        if token[0] == "'" or (token[0] == "$" and len(token) > 1):
            yield "'"
        elif token[0] in '"`[' and len(token) > 1:
            yield '"' + token[1:-1].lower()
        else:
            yield token.lower()


def _parse_transaction(first: str, words: list[str]) -> Parsed:
    """ROLLBACK TO ends no transaction. The "table" is the savepoint's name."""
    if first in ("rollback", "abort") and "to" in words:
        return Parsed("rollback to", "")
    if first in ("savepoint", "release"):
        has_end = words[-1] == ";" and len(words) > 1
        return Parsed(first, words[-2] if has_end else words[-1])
    return Parsed(_SYNONYMS.get(first, first), "")


def _find_writes(words: list[str]) -> Iterator[tuple[str, str]]:
    """(verb, table) of each write, in the order of the text."""
    for at, word in enumerate(words):
        start = _find_target(words, at, word)
        if start is not None:
            while start < len(words) and words[start] in ("only", "table", "("):
                start += 1
            yield {"replace": "insert"}.get(word, word), _read_name(words, start)


def _find_target(words: list[str], at: int, word: str) -> int | None:
    """Where the name of the written table begins, if a write begins here."""
    if word in ("insert", "replace", "merge"):
        # INSERT OR IGNORE INTO of SQLite has two words in between.
        near = words[at + 1 : at + 4]
        if "into" not in near:
            return None
        return at + 2 + near.index("into")
    following = words[at + 1 : at + 2]
    if word == "delete":
        if following == ["from"]:
            return at + 2
        return None
    if word == "update" and not (at and words[at - 1] in _NO_UPDATE_AFTER):
        # UPDATE OR IGNORE of SQLite.
        if following == ["or"]:
            return at + 3
        return at + 1
    if at == 0 and word == "truncate":
        return 1
    if at == 0 and word == "copy" and words[1:2] != ["("] and "from" in words:
        return 1
    return None


def _read_name(words: list[str], at: int) -> str:
    """The last part of a dotted name."""
    while at + 2 < len(words) and words[at + 1] == ".":
        at += 2
    if at >= len(words) or not _NAME.match(words[at]):
        return ""
    return words[at].lstrip('"')


def _find_created(words: list[str]) -> str:
    """The name of what CREATE, DROP or ALTER is about."""
    at = next((number for number, word in enumerate(words) if word in _KINDS), 0) + 1
    while at < len(words) and words[at] in ("if", "not", "exists", "concurrently", "only"):
        at += 1
    return _read_name(words, at)


def _find_table_read(words: list[str]) -> str:
    """The first table after a FROM of the outermost level; for COPY and LOCK what they name."""
    if words[:1] in (["copy"], ["lock"], ["call"]):
        start = 1
        if words[1:2] == ["table"]:
            start = 2
        return _read_name(words, start)
    depth = 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == "from" and depth == 0:
            if words[at + 1 : at + 2] == ["only"]:
                start = at + 2
            else:
                start = at + 1
            return _read_name(words, start)
    return ""
