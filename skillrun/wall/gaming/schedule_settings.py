"""What settings say of a schedule: the values of constants that stand in for numbers and crons.

`crontab(minute=config.RESCUE_EVERY)` says what `RESCUE_EVERY = int(os.environ.get("EVERY", "15"))`
says: a machine that sets nothing has the default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

_CASTS = ("int", "float", "str")


def read_constants(texts: Iterable[str]) -> dict[str, Any]:
    """Name -> value, of what modules say at their top level. A name that stands for several values
    is left out: who means which is not asked.
    """
    found: dict[str, Any] = {}
    ambiguous: set[str] = set()
    for text in texts:
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in body:
            for name, value in _read_assignment(node):
                if name in found and found[name] != value:
                    ambiguous.add(name)
                found[name] = value
    return {name: value for name, value in found.items() if name not in ambiguous}


def _read_assignment(node: ast.stmt) -> Iterable[tuple[str, Any]]:
    """(name, value) of `NAME = 5`; nothing of any other statement."""
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    elif isinstance(node, ast.Assign):
        targets = node.targets
    else:
        return
    value = _read_value(node.value)
    if value is None:
        return
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value


def _read_value(node: ast.expr | None) -> Any:
    """Of a literal, of a variable of the environment that has a default, and of either that is made
    a number; None of anything else.
    """
    if isinstance(node, ast.Constant):
        return node.value
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    if isinstance(node.func, ast.Name) and node.func.id in _CASTS and len(node.args) == 1:
        value = _read_value(node.args[0])
        try:
            return {"int": int, "float": float, "str": str}[node.func.id](value)
        except (TypeError, ValueError):
            return None
    # os.environ.get("EVERY", "15"), os.getenv("EVERY", "15")
    is_variable = ast.unparse(node.func).endswith(("environ.get", "getenv"))
    if is_variable and len(node.args) == 2:
        return _read_value(node.args[1])
    return None


class _Filling(ast.NodeTransformer):
    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._fill(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return self._fill(node, node.attr)

    def _fill(self, node: ast.expr, name: str) -> ast.expr:
        is_read = isinstance(getattr(node, "ctx", None), ast.Load)
        # Whatever is no constant by its name may be given another value on the way.
        if not is_read or not name.isupper() or name not in self.constants:
            return node
        return ast.copy_location(ast.Constant(self.constants[name]), node)


def fill_in(tree: ast.Module, constants: Mapping[str, Any]) -> ast.Module:
    """The module with their values in the place of constants' names; it is changed for that."""
    filled: ast.Module = _Filling(constants).visit(tree)
    return filled
