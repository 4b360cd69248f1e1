"""Parses Python that may be newer than the interpreter that skillrun runs on, and asks short
questions of its syntax trees.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import TypeGuard, TypeVar

Node = TypeVar("Node", bound=ast.AST)

# Each keeps the number of lines, so that places stay right.
_NEWER = (
    (
        re.compile(rb"(?m)^(\s*except\*?\s+)([\w.]+(?:\s*,\s*[\w.]+)+)(\s*:)"),
        rb"\1(\2)\3",
    ),  # 3.14: PEP 758
    (
        re.compile(rb"(?m)^(\s*(?:async\s+def|def|class)\s+\w+)\[[^\]\n]*\]"),
        rb"\1",
    ),  # 3.12: PEP 695
    (re.compile(rb"(?m)^(\s*)type\s+(\w+)(?:\[[^\]\n]*\])?(\s*=)"), rb"\1\2\3"),
    (re.compile(rb"(?<![\w\"'])[tT](?=[\"'])"), rb"f"),  # 3.14: template strings
)


def parse_python(data: bytes) -> ast.Module:
    """The module. What only a newer Python can read is first written the old way, line for line.

    Raises SyntaxError, ValueError, RecursionError or MemoryError, as `ast.parse` does.
    """
    with warnings.catch_warnings():
        # A SyntaxWarning of the repository's code is not ours to print.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(data)
        except SyntaxError:
            older = _written_older(data)
            if older == data:
                raise
            return ast.parse(older)


def _written_older(data: bytes) -> bytes:
    for pattern, replacement in _NEWER:
        data = pattern.sub(replacement, data)
    return data


def find_nodes(tree: ast.AST, kind: type[Node]) -> Iterator[Node]:
    """Every node of a kind in a piece of code, those of inner functions among them."""
    for node in ast.walk(tree):
        if isinstance(node, kind):
            yield node


def find_names(node: ast.AST) -> set[str]:
    """The variables in a piece of code; attributes are none."""
    return {inner.id for inner in find_nodes(node, ast.Name)}


def is_none(node: ast.AST | None) -> bool:
    """Whether `None` is written there."""
    return isinstance(node, ast.Constant) and node.value is None


def is_constant(node: ast.AST | None, value: object) -> bool:
    """Whether that number or text is written there."""
    return isinstance(node, ast.Constant) and node.value == value


def is_given(node: ast.expr | None) -> TypeGuard[ast.expr]:
    """Whether an option is there, and something else than `None` is written for it."""
    return node is not None and not is_none(node)


def find_keyword(call: ast.Call | ast.ClassDef, name: str) -> ast.expr | None:
    """What a call gives for a keyword; None where it gives nothing."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return None


def find_assigned(node: ast.AST, target: ast.expr) -> ast.expr | None:
    """What an assignment gives one of its targets; None where the node is no such assignment."""
    if isinstance(node, ast.Assign) and target in node.targets:
        return node.value
    return None


def find_set_attribute(tree: ast.AST, name: str) -> ast.expr | None:
    """What a piece of code first assigns to an attribute of that name, whatever has it."""
    for node in find_nodes(tree, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and target.attr == name:
                return node.value
    return None


def divide_block(above: ast.AST, node: ast.AST) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements before and after one in the same block of what stands above it; none where it
    is in no block of that.
    """
    for name in ("body", "orelse", "finalbody"):
        block = getattr(above, name, [])
        if isinstance(block, list) and node in block:
            position = block.index(node)
            return block[:position], block[position + 1 :]
    return [], []


def name_method(node: ast.AST | None) -> str:
    """The attribute that a call calls, as in `.delay(...)`; "" where it is another
    call, or none.
    """
    func = None
    if isinstance(node, ast.Call):
        func = node.func
    if isinstance(func, ast.Attribute):
        return func.attr
    return ""


def has_spread(call: ast.Call) -> bool:
    """Whether `**mapping` gives keywords that nobody can read."""
    return any(keyword.arg is None for keyword in call.keywords)


def list_given(call: ast.Call) -> list[ast.expr]:
    """All that a call is given, by position and by keyword."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def read_entries(node: ast.Dict) -> dict[object, ast.expr]:
    """What a written dictionary holds under the keys that are written out; of one that is there
    twice, the last.
    """
    entries: dict[object, ast.expr] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant):
            entries[key.value] = value
    return entries
