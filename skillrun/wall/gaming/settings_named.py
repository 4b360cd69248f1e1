"""What code gives a name: how settings are written, whatever reads them."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def list_named(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Everything that is given a name, as an argument, an entry or a variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                elif isinstance(target, ast.Attribute):
                    yield target.attr, node.value
