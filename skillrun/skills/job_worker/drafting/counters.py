"""Which columns count how often a job was begun: the code holds them against the most tries."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from skillrun.proof.fixtures.seen import Table
    from skillrun.repo.python import Definition

# MAX_STARTS, maxStarts, LENS_ORDER_MAX_STARTS, starts_limit
_BOUND = re.compile(
    r"(?:^|_)(?:max|most)(?:imum)?(?:_|[A-Z]|$)|(?:_|^)(?:max|limit)$", re.IGNORECASE
)


def find_counters(bodies: Iterable[Definition]) -> frozenset[str]:
    """Names of columns, as in `row.starts > MAX_STARTS` and `row["starts"] >= settings.max_starts`.
    What stands beside one of them, as in `row.starts - row.failures >= MAX_DEATHS`, is a count of
    the same tries.
    """
    found = set[str]()
    beside: list[tuple[str, str]] = []
    for body in bodies:
        for counted in _list_bounded(body.node):
            if isinstance(counted, ast.BinOp) and isinstance(counted.op, ast.Sub | ast.Add):
                beside.append((_read_name(counted.left), _read_name(counted.right)))
            elif _read_name(counted):
                found.add(_read_name(counted))
    for left, right in beside:
        if left and right and not found.isdisjoint((left, right)):
            found |= {left, right}
    return frozenset(found)


def _list_bounded(node: ast.AST) -> Iterator[ast.expr]:
    """Yields what is held against the most that there may be."""
    for part in ast.walk(node):
        if not isinstance(part, ast.Compare):
            continue
        is_above = isinstance(part.ops[0], ast.Gt | ast.GtE)
        if is_above and _BOUND.search(_read_name(part.comparators[0])):
            yield part.left


def is_of_the_job(table: Table, arguments: Mapping[str, object]) -> bool:
    """Whether the message says by itself which row of a table is meant: what several jobs count
    together is no count of tries.
    """
    keys = [number for number, (_, _, is_key) in enumerate(table.columns) if is_key]
    said = set(map(str, arguments.values()))
    return bool(keys) and any(said.issuperset(values) for values in _list_keys(table, keys))


def _list_keys(table: Table, keys: list[int]) -> Iterator[list[str]]:
    for row in table.rows:
        yield [str(row[number]) for number in keys]


def _read_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else ""
