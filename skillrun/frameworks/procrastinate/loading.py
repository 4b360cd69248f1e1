"""Which modules a worker imports: that of its app, `App(import_paths=)`, and what these import.

Source: procrastinate/app.py (`App.perform_import_paths`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.repo.python import Module, Project

# Modules that are looked into.
_DEEP = 200


def loads(project: Project, app: Module, import_paths: Iterable[str], wanted: str) -> bool:
    """Whether a worker of an app imports the file `wanted`; what cannot be told counts as so."""
    return _reaches_file(project, app, wanted, set()) or any(
        _leads_to(project, name, wanted) for name in import_paths
    )


def _leads_to(project: Project, name: str, wanted: str) -> bool:
    path = project.locate(name)
    module = None
    if path:
        module = project.module(path)
    return module is None or _reaches_file(project, module, wanted, set())


def _reaches_file(project: Project, module: Module, wanted: str, seen: set[str]) -> bool:
    """Whether importing a module imports that file, as far as the text tells; what cannot be told
    counts as so.
    """
    if module.path == wanted or len(seen) > _DEEP:
        return True
    seen.add(module.path)
    for node in module.all_nodes:
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "import_string",
        ):
            return True
        for name in _list_imported(node, module):
            path = project.locate(name)
            inner = None
            if path and path not in seen:
                inner = project.module(path)
            if inner is not None and _reaches_file(project, inner, wanted, seen):
                return True
    return False


def _list_imported(node: ast.AST, module: Module) -> Iterator[str]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = module.absolute(node.module, node.level)
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
