"""State queries compared by their structure, and what a query cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.wall.gaming.specs import at, listed

if TYPE_CHECKING:
    from sqlglot.expressions import Expression, Query

# Far beyond any query that a person writes; parsing takes time with the length.
_LONGEST = 10_000
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_DISTINCT = "hides duplicates: rows that are there twice look as if they were there once"


@dataclass(frozen=True)
class Blindness:
    """What a query does not see. `certain`: whatever the handler does, the answer is the same."""

    words: str
    certain: bool = False


def dialect_of(spec: Any) -> str:
    """The dialect of the database that a spec's queries ask."""
    database = str(at(spec, "proof", "database") or "")
    postgres = database.startswith(("{postgres", "postgres"))
    if postgres or (not database and "postgresql" in listed(at(spec, "proof", "services"))):
        return "postgres"
    return "sqlite"


def same_query(old: object, new: object, dialect: str) -> bool:
    """Whether two queries differ in whitespace, comments, or the case of keywords and names
    alone.
    """
    if old == new:
        return True
    was, now = _parse_query(old, dialect), _parse_query(new, dialect)
    if was is None or now is None:
        return False
    return _normalise(was, dialect) == _normalise(now, dialect)


def find_blindness(query: object, dialect: str) -> Iterator[Blindness]:
    """What a query does not see, as far as its text tells; nothing where it is no SQL."""
    tree = _parse_query(query, dialect)
    if tree is None:
        return
    yield from _find_constant(tree)
    yield from _find_hiding(tree)


def _parse_query(query: object, dialect: str) -> Query | None:
    """None where it is not one SELECT: then only its text can be compared."""
    from sqlglot import ErrorLevel, exp, parse
    from sqlglot.errors import SqlglotError

    text = str(query)
    if len(text) > _LONGEST:
        return None
    try:
        statements = parse(text, dialect=dialect, error_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError, ValueError):
        return None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return None
    return statements[0]


def _normalise(tree: Query, dialect: str) -> str:
    """The query written anew, without comments, its names as the database folds them."""
    from sqlglot import exp

    copy = tree.copy()
    for name in copy.find_all(exp.Identifier):
        folded = str(name.this).lower()
        if _is_held(name, folded, dialect):
            continue
        name.set("this", folded)
        # Without its quotes `"a b"` would be a column and its alias.
        name.set("quoted", _PLAIN_NAME.fullmatch(folded) is None)
    return str(copy.sql(dialect=dialect, comments=False))


def _is_held(name: Expression, folded: str, dialect: str) -> bool:
    """Whether the case of a name counts, and whether it stands in quotes."""
    from sqlglot import exp

    if not name.args.get("quoted"):
        return False
    if dialect != "sqlite":
        return folded != str(name.this)
    # SQLite takes `"paid"` for a text where no column is called so, and minds the case of no name.
    return isinstance(name.parent, exp.Column) and not name.parent.table


def _find_constant(tree: Query) -> Iterator[Blindness]:
    """Queries whose answer is settled before they are asked."""
    from sqlglot import exp

    if tree.find(exp.Table) is None:
        yield Blindness("reads no table", certain=True)
        return
    for clause in tree.find_all(exp.Where, exp.Having, exp.Join):
        is_join = isinstance(clause, exp.Join)
        condition = clause.args.get("on") if is_join else clause.this
        if condition is not None and _is_false(condition):
            yield Blindness(f"its condition is never true: {condition.sql()}", certain=True)
    for limit in tree.find_all(exp.Limit):
        if _read_number(limit.expression) == 0:
            yield Blindness("LIMIT 0 leaves no row", certain=True)
    for value in tree.selects:
        yield from _constant_value(value)


def _is_false(condition: Expression) -> bool:
    from sqlglot import exp
    from sqlglot.optimizer.simplify import simplify

    found = simplify(condition.copy())
    if isinstance(found, exp.Null) or _read_number(found) == 0:
        return True
    if isinstance(found, exp.Boolean):
        return not found.this
    return _contradicts_itself(found)


def _contradicts_itself(condition: Expression) -> bool:
    """`a <> a`, or `a = 1 and a = 2`."""
    from sqlglot import exp

    fixed: dict[str, str] = {}
    parts: list[Any] = [condition]
    if isinstance(condition, exp.And):
        parts = list(condition.flatten())
    for part in parts:
        if not isinstance(part, exp.Binary):
            continue
        left, right = part.left.sql(), part.right.sql()
        if isinstance(part, exp.NEQ | exp.LT | exp.GT) and left == right:
            return True
        is_fixed = isinstance(part, exp.EQ) and isinstance(part.right, exp.Literal)
        if is_fixed and fixed.setdefault(left, right) != right:
            return True
    return False


def _constant_value(value: Any) -> Iterator[Blindness]:
    """A selected value that says nothing of the rows."""
    from sqlglot import exp

    inner = value.unalias()
    counts = inner.find(exp.Count)
    if counts is not None and not isinstance(inner, exp.Count | exp.Cast | exp.Coalesce):
        # A count is never negative: `count(*) > -1` holds whatever there is.
        always = isinstance(inner, exp.GT | exp.GTE) and (_read_number(inner.expression) or 0) <= 0
        certain = always and not (isinstance(inner, exp.GT) and _read_number(inner.expression) == 0)
        yield Blindness(f"{inner.sql()} says less than the count itself", certain=certain)
    elif inner.find(exp.Column, exp.Star, exp.AggFunc, exp.Exists) is None:
        yield Blindness(f"{inner.sql()} is the same for every row")


def _find_hiding(tree: Query) -> Iterator[Blindness]:
    """Queries to which two rows may look like one, or a row like none."""
    from sqlglot import exp

    for union in tree.find_all(exp.SetOperation):
        if isinstance(union, exp.Union) and not union.args.get("distinct"):
            continue
        yield Blindness(f"{union.key.upper()} {_DISTINCT}")
    for select in tree.find_all(exp.Select):
        if select.args.get("distinct"):
            yield Blindness(f"DISTINCT {_DISTINCT}")
        if select.args.get("group") and select.find(exp.Count, exp.Sum) is None:
            yield Blindness(f"GROUP BY without count(*) {_DISTINCT}")
    for value in tree.selects:
        if value.find(exp.Max, exp.Min, exp.Exists) is not None:
            yield Blindness(f"{value.sql()} looks at one row: that {_DISTINCT}")
    for limit in tree.find_all(exp.Limit, exp.Offset):
        if _read_number(limit.expression) != 0:
            yield Blindness(f"{limit.sql().strip()} leaves rows out")


def _read_number(node: Expression | None) -> float | None:
    """The number that a node is, signed; None where it is none."""
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        inner = _read_number(node.this)
        if inner is None:
            return None
        return -inner
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            return float(node.this)
        except ValueError:
            return None
    return None
