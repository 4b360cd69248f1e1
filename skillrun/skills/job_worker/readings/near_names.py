"""What a module holds where a spec names something that it does not have."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from skillrun.repo.python import Project

_MOST_NAMED = 5


def name_near(project: Project, import_path: str, hint: str) -> str:
    """The hint for `shop.tasks:chrge`, which is not there, behind what its module has: "shop.tasks:
    charge is there; write it". The hint alone where there is no such module.
    """
    module_name, _, name = import_path.partition(":")
    module = project.module(project.locate(module_name, anywhere=True) or "")
    if module is None:
        return hint
    known = list(_list_definitions(module.tree))
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"{module_name}:{near[0]} is there; {hint}"
    return f"{_list_some(known)}; {hint}"


def _list_some(known: list[str]) -> str:
    if not known:
        return "no function stands there"
    named = ", ".join(known[:_MOST_NAMED])
    if len(known) > _MOST_NAMED:
        named += f" and {len(known) - _MOST_NAMED} more"
    return f"there: {named}"


def _list_definitions(tree: ast.Module) -> Iterator[str]:
    """`charge`, `Shop` and `Shop.charge`: what a spec may name of a module's own."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{name}" for name in _list_functions(node.body))
    yield from _list_functions(tree.body)


def _list_functions(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not node.name.startswith("__"):
            yield node.name
