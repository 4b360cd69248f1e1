"""State queries compared by their structure, and what a query cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.wall.gaming.never_true import is_never_true, read_number
from skillrun.wall.gaming.shown_values import is_same_for_each_row
from skillrun.wall.gaming.specs import at, listed

if TYPE_CHECKING:
    from sqlglot.expressions import Expression, Query

# Far beyond any query that a person writes; parsing takes time with the length.
_LONGEST = 10_000
# `values (1)` is a query of its own.
_VALUES = re.compile(r"\s*values\s*\(", re.IGNORECASE)
# Tables in which a database keeps what it knows of itself: whole names, since an application may
# call its own `pg_payments` or `pragma_log`.
_OF_DATABASE = re.compile(
    r"sqlite_(temp_)?(master|schema)|sqlite_(sequence|stat[134]|dbpage|stmt)"
    r"|pragma_\w+_list|pragma_(compile_options|(user|data|schema)_version|page_(count|size))"
    r"|pg_(class|attribute|namespace|type|proc|index(es)?|constraint|database|tables?|views"
    r"|matviews|roles|user|settings|sequences?|locks|extension|tablespace|trigger|depend"
    r"|description|enum"
    r"|stat_\w+|statio_\w+|stats|statistic)"
)
_SCHEMAS_OF_DATABASE = ("pg_catalog", "information_schema")
_FIRST_SCHEMAS = ("", "main", "temp")
# Here a database counts what jobs do.
_COUNTS_WRITES = re.compile(r"seq|_stat")
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
        if _VALUES.match(str(query)):
            yield Blindness("reads no table of the application", certain=True)
        return
    yield from _find_constant(tree, dialect)
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


def _find_constant(tree: Query, dialect: str) -> Iterator[Blindness]:
    """Queries whose answer is settled before they are asked."""
    from sqlglot import exp

    if not _reads_rows(tree, dialect):
        certain = not any(map(_may_show_work, tree.find_all(exp.Table)))
        yield Blindness("reads no table of the application", certain=certain)
        return
    for clause in tree.find_all(exp.Where, exp.Having, exp.Join):
        condition = clause.this
        if isinstance(clause, exp.Join):
            # LEFT JOIN keeps the rows that have no partner.
            condition = None if clause.side else clause.args.get("on")
        if condition is not None and is_never_true(condition):
            words = f"its condition is never true: {condition.sql()}"
            yield Blindness(words, certain=_settles_answer(clause, tree))
    for limit in tree.find_all(exp.Limit, exp.Fetch):
        if _read_limit(limit) == 0:
            yield Blindness("LIMIT 0 leaves no row", certain=limit.parent is tree)
    for value in tree.selects:
        yield from _constant_value(value, is_alone=len(tree.selects) == 1)


def _settles_answer(clause: Expression, tree: Query) -> bool:
    """Whether the whole query has one answer where a clause lets no row through. A part of a query
    may be asked beside others.
    """
    from sqlglot import exp

    if clause.parent is not tree:
        return False
    if isinstance(clause, exp.Join) and any(map(_keeps_partnerless, tree.args["joins"])):
        return False
    # `select count(*), (select ...)` has a row of its own.
    return not any(map(_holds_query, tree.selects))


def _keeps_partnerless(join: Any) -> bool:
    return join.side in ("RIGHT", "FULL")


def _holds_query(value: Any) -> bool:
    from sqlglot import exp

    return value.find(exp.Query) is not None


def _reads_rows(tree: Query, dialect: str) -> bool:
    """Whether a query names a table of the application: none is one of the database's own, a part
    of the query itself, or a function that makes rows of what is written out.
    """
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        is_table = isinstance(table.this, exp.Identifier)
        if is_table and not _is_of_database(table) and not _names_part(table, dialect):
            return True
    return False


def _is_of_database(table: Any) -> bool:
    schema = str(table.db).lower()
    is_known = schema in _FIRST_SCHEMAS and _OF_DATABASE.fullmatch(str(table.name).lower())
    return schema in _SCHEMAS_OF_DATABASE or bool(is_known)


def _may_show_work(table: Any) -> bool:
    """Whether a table of the database's own may show what a job did: it counts what is written, or
    is asked for certain ones of the tables, which jobs make too.
    """
    from sqlglot import exp

    if not _is_of_database(table):
        return False
    select = table.find_ancestor(exp.Select)
    is_asked = select is not None and select.args.get("where") is not None
    return is_asked or bool(_COUNTS_WRITES.search(str(table.name).lower()))


def _names_part(table: Any, dialect: str) -> bool:
    """Whether a table is a part of the query (`with sent as (...)`) where its name stands. A name
    with a schema is none.
    """
    from sqlglot import exp

    name = str(table.name).lower()
    inside: Any = None
    above = table
    while above is not None and not table.db:
        if isinstance(above, exp.CTE):
            inside = above
        for held in above.args.values():
            if isinstance(held, exp.With) and name in _list_known_parts(held, inside, dialect):
                return True
        above = above.parent
    return False


def _list_known_parts(parts: Any, inside: Any, dialect: str) -> list[str]:
    """The names of a WITH that are known in one of its parts; all of them behind it. A part knows
    itself only where it is recursive, which SQLite takes from a UNION alone.
    """
    from sqlglot import exp

    known: list[str] = []
    for part in parts.expressions:
        is_recursive = parts.args.get("recursive") or (
            dialect == "sqlite" and isinstance(part.this, exp.SetOperation)
        )
        if part is inside and not is_recursive:
            break
        known.append(str(part.alias).lower())
    return known


def _constant_value(value: Any, is_alone: bool) -> Iterator[Blindness]:
    """A selected value that says nothing of the rows."""
    from sqlglot import exp

    inner = value.unalias()
    counts = inner.find(exp.Count)
    if counts is not None and not isinstance(inner, exp.Count | exp.Cast | exp.Coalesce):
        certain = is_alone and _is_always_true(inner)
        yield Blindness(f"{inner.sql()} says less than the count itself", certain=certain)
    elif _is_same_for_each_row(inner):
        yield Blindness(f"{inner.sql()} is the same for every row")


def _is_always_true(compared: Any) -> bool:
    """A count is never negative: `count(*) > -1` holds whatever there is."""
    from sqlglot import exp

    if not isinstance(compared, exp.GT | exp.GTE) or not isinstance(compared.this, exp.Count):
        return False
    number = read_number(compared.expression)
    if number is None:
        return False
    return number < 0 or (number == 0 and isinstance(compared, exp.GTE))


def _is_same_for_each_row(inner: Any) -> bool:
    """`1`, `id * 0`, `sum(0)`. A count, or `sum(1)`, says how many rows there are."""
    from sqlglot import exp

    if inner.find(exp.Star, exp.Exists, exp.Query, exp.Window) is not None:
        return False
    if inner.find(exp.AggFunc) is None:
        return inner.find(exp.Column) is None or is_same_for_each_row(inner)
    if isinstance(inner, exp.Sum) and read_number(inner.this) is not None:
        return read_number(inner.this) == 0
    if not isinstance(inner, exp.AggFunc) or isinstance(inner, exp.Count):
        return False
    argument = inner.this
    return (
        isinstance(argument, exp.Expression)
        and not isinstance(argument, exp.Distinct)
        and (is_same_for_each_row(argument))
    )


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
        if value.find(*_one_row_functions()) is not None:
            yield Blindness(f"{value.sql()} looks at one row: that {_DISTINCT}")
        for aggregate in value.find_all(exp.AggFunc):
            if isinstance(aggregate.this, exp.Distinct):
                yield Blindness(f"{aggregate.sql()} {_DISTINCT}")
    for limit in tree.find_all(exp.Limit, exp.Fetch, exp.Offset, exp.TableSample):
        if _read_limit(limit) != 0:
            yield Blindness(f"{limit.sql().strip()} leaves rows out")
    if tree.find(exp.Rand) is not None:
        yield Blindness("random() gives another answer each time, so that none is compared")


def _one_row_functions() -> tuple[type[Expression], ...]:
    from sqlglot import exp

    return (
        *(exp.Max, exp.Min, exp.Exists, exp.AnyValue, exp.First, exp.Last),
        *(exp.FirstValue, exp.LastValue, exp.NthValue, exp.LogicalOr, exp.LogicalAnd),
    )


def _read_limit(limit: Any) -> float | None:
    """How many rows LIMIT, FETCH FIRST or OFFSET names."""
    return read_number(limit.args.get("count") or limit.args.get("expression"))
