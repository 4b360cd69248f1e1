"""The conditions under which a statement is reached, and how many attempts they let through."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from skillrun.repo.python import Module


def tests_before(module: Module, node: ast.AST) -> Iterator[tuple[ast.expr, bool]]:
    """(test, what it must be) for the conditions under which a node is reached, within its
    function.
    """
    below = node
    for above in module.parents(node):
        if isinstance(above, ast.If):
            yield above.test, below in above.body
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(above, name, None)
            if isinstance(statements, list) and below in statements:
                earlier = statements[: statements.index(below)]
                for s in earlier:
                    if isinstance(s, ast.If) and leaves(s.body):
                        yield (s.test, False)
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        below = above


def leaves(body: list[ast.stmt]) -> bool:
    """A block that ends in a return or a raise."""
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise)


def count_let_through(
    test: ast.expr, holds: bool, is_count: Callable[[ast.expr], bool]
) -> tuple[ast.expr, int] | None:
    """(expression, how much to add): the count from which on a comparison lets nothing through;
    None for any other.
    """
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not is_count(test.left):
        return None
    op = test.ops[0]
    if isinstance(op, ast.Lt | ast.NotEq if holds else ast.GtE | ast.Eq):
        return test.comparators[0], 0
    if not isinstance(op, ast.LtE if holds else ast.Gt):
        return None
    return (test.comparators[0], 1)
