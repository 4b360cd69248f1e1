"""Which modules of the repository a module imports, directly or through others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

# Modules that are looked at.
_MOST = 2_000


def imports(project: Project, start: str, target: str) -> bool:
    """Whether the module in the file `start` is, or leads to, the one in `target`; imports within
    functions count.
    """
    seen, waiting = {start}, [start]
    while waiting and len(seen) < _MOST:
        path = waiting.pop()
        if path == target:
            return True
        module = project.module(path)
        around = []
        for name in _list_packages(path):
            if name in project.tree.files:
                around.append(name)
        for found in (*around, *(_list_imported(project, module) if module is not None else ())):
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    return target in seen


def _list_packages(path: str) -> list[str]:
    """The `__init__.py` of each package that a file lies in: importing it imports them."""
    parts = path.split("/")[:-1]
    return ["/".join([*parts[:length], "__init__.py"]) for length in range(1, len(parts) + 1)]


def _list_imported(project: Project, module: Module) -> Iterator[str]:
    for node in module.all_nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = []
        if isinstance(node, ast.ImportFrom):
            home = module.absolute(node.module, node.level)
            names = [home, *(f"{home}.{alias.name}" for alias in node.names)]
        for name in names:
            path = project.locate(name, near=module.path)
            if path is not None:
                yield path
