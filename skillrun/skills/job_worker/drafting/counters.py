"""Which columns count how often a job was begun: the code holds them against the most tries."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from skillrun.proof.fixtures.seen import Table
    from skillrun.repo.python import Definition

_BOUND = re.compile(r"^_?(?:max|most)(?:imum)?(?:_|[A-Z]|$)|(?:_|^)(?:max|limit)$", re.IGNORECASE)


def find_counters(bodies: Iterable[Definition]) -> frozenset[str]:
    """Names of columns, as in `row.starts > MAX_STARTS` and `row["starts"] >= settings.max_starts`."""
    found = set[str]()
    for body in bodies:
        for node in ast.walk(body.node):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt | ast.GtE):
                column, bound = _read_name(node.left), _read_name(node.comparators[0])
                if column and _BOUND.search(bound):
                    found.add(column)
    return frozenset(found)


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
