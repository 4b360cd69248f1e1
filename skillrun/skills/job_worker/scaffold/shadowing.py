"""Names in a generated module that would hide what it imports: a fixture `database` and `from shop
import database`.
"""

from __future__ import annotations

import ast

from skillrun.repo.syntax import find_nodes


def find_shadowed(text: str) -> frozenset[str]:
    """The names that are imported at the top of a module, and given to a function or a variable
    further down.

    Text that is no Python has none: whoever renders it will be told otherwise.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return frozenset()
    return frozenset(_imported_names(tree) & _defined_names(tree))


def _imported_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            # `import a.b` binds a
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _defined_names(tree: ast.Module) -> set[str]:
    """Functions of the module, and variables of its functions and methods; attributes hide
    nothing.
    """
    names = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    for node in find_nodes(tree, ast.Name):
        if isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
