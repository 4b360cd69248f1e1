"""Whether a value that a query selects says anything of the row: it is worked out for rows that
differ in everything.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

# What a column may hold; the literals of the expression itself come to these, since it may ask for
# one of them.
_SAMPLES: tuple[Any, ...] = (
    *(1, 2, 7, 1_000, 10**12, -3, 2.75),
    *("paid", "open", "A-17", "2024-01-31", "2025-12-30 11:59:58", "ann@example.org"),
    *("f" * 64 + "0a1b", "x y" * 120),
)
# Of more than one column; what compares them has another answer where they are the same.
_FEW_SAMPLES: tuple[Any, ...] = (1, 7, 1_000, "paid", "open", "2024-01-31")
_MOST_SAMPLES = 40
_MOST_COLUMNS = 2
# Steps of SQLite's machine: far more than an expression of a person takes.
_MOST_STEPS = 100_000
_LONGEST_VALUE = 100_000  # bytes; zeroblob(...) may ask for any number


def is_same_for_each_row(value: Expression) -> bool:
    """Whether an expression of columns, without an aggregate, has one value for all rows: `id * 0`.
    False where it cannot be worked out, as of functions that SQLite does not have. What is unknown
    of an unknown value is no other answer.
    """
    text, columns = _name_columns(value)
    if len(columns) > _MOST_COLUMNS or _asks_for_text(value):
        return False
    rows = itertools.product(_list_samples(value, len(columns)), repeat=len(columns))
    with closing(sqlite3.connect(":memory:")) as db:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        db.set_progress_handler(lambda: 1, _MOST_STEPS)
        try:
            answers = _list_first_answers(db, text, rows)
            unknown = _work_out(db, text, [None] * len(columns))
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError):
            return False
    return len(answers) == 1 and unknown in (None, *answers)


def _asks_for_text(value: Expression) -> bool:
    """Whether an expression compares with what is written out: `substr(at, 6, 2) = '07'`. That no
    sample fits is no proof.
    """
    from sqlglot import exp

    asks = value.find(exp.Predicate, exp.Case, exp.If, exp.Glob, exp.Nullif)
    return asks is not None and value.find(exp.Literal) is not None


def _list_first_answers(
    db: sqlite3.Connection, text: str, rows: Iterable[Sequence[Any]]
) -> set[Any]:
    """What an expression is for some rows; no more than two answers."""
    answers = set()
    for row in rows:
        answers.add(_work_out(db, text, row))
        if len(answers) > 1:
            break
    return answers


def _name_columns(value: Expression) -> tuple[str, list[str]]:
    """The expression in SQLite's words with `:held0` and so on for its columns, and these."""
    from sqlglot import exp

    names: list[str] = []

    def hold(node: Any) -> Any:
        if not isinstance(node, exp.Column):
            return node
        name = node.sql().lower()
        if name not in names:
            names.append(name)
        return exp.Placeholder(this=f"held{names.index(name)}")

    return value.transform(hold).sql(dialect="sqlite"), names


def _list_samples(value: Expression, columns: int) -> list[Any]:
    """What each column holds in turn."""
    from sqlglot import exp

    samples = list(_SAMPLES if columns == 1 else _FEW_SAMPLES)
    for literal in value.find_all(exp.Literal):
        samples += _list_around(literal)
    return samples[:_MOST_SAMPLES]


def _list_around(literal: Any) -> list[Any]:
    """A literal and its neighbours: who compares with it has another answer for one of them. A
    number may be compared with a length.
    """
    text = str(literal.this)
    if literal.is_string:
        return [text, f"{text}a", f"a{text}"]
    try:
        number = float(text)
    except ValueError:
        return []
    around: list[Any] = [number - 1, number, number + 1]
    if 0 < number < _LONGEST_VALUE / 10:
        around.append("x" * (int(number) + 1))
    return around


def _work_out(db: sqlite3.Connection, text: str, row: Sequence[Any]) -> Any:
    """What an expression is where its columns hold these values."""
    held = {}
    for at, value in enumerate(row):
        held[f"held{at}"] = value
    return db.execute(f"select {text}", held).fetchone()[0]
