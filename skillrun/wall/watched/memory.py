"""What a process remembers from one job to the next: variables that functions change.

A process of a proof has done few jobs before; one of production has done thousands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from skillrun.repo.python import Project
from skillrun.repo.source import FunctionNode, Module, last_word

_CHANGES = {
    *("append", "appendleft", "add", "update", "extend", "insert", "setdefault", "pop", "popleft"),
    *("remove", "discard", "clear", "subtract", "put", "put_nowait"),
}


def list_remembered(project: Project, modules: Iterable[Module]) -> frozenset[str]:
    """The dotted names of the variables of modules and classes that a function changes."""
    found: set[str] = set()
    for module in modules:
        for node in module.all_nodes:
            if isinstance(node, FunctionNode):
                found |= _list_changed(project, module, node)
    return frozenset(found)


def name_variable(project: Project, module: Module, node: ast.AST) -> str | None:
    """The dotted name of the variable of a module or class that an expression names."""
    if isinstance(node, ast.Name):
        return _name_global(module, node)
    if not isinstance(node, ast.Attribute):
        return None
    owner = module.resolve(node.value)
    if owner is None:
        return None
    is_module = project.locate(owner) is not None
    if not is_module and project.definition(owner) is None:
        return None
    return f"{project.origin(owner)}.{node.attr}"


def _name_global(module: Module, node: ast.Name) -> str | None:
    for scope in module.scopes_around(node):
        bound = module.bindings(scope).get(node.id)
        if not bound:
            continue
        if bound[0].kind == "import":
            return bound[0].target
        is_own = isinstance(scope, ast.Module) or _is_global_in(scope, node.id)
        return f"{module.name}.{node.id}" if is_own else None
    return None


def _is_global_in(scope: ast.AST, name: str) -> bool:
    declared: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.Global):
            declared.update(node.names)
    return name in declared


def _list_changed(project: Project, module: Module, function: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            for name in node.names:
                found.add(f"{module.name}.{name}")
        for changed in _iterate_changed(node):
            variable = name_variable(project, module, changed)
            if variable is not None:
                found.add(variable)
    return found


def _iterate_changed(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose value a statement or call changes."""
    if isinstance(node, ast.AugAssign):
        yield node.target.value if isinstance(node.target, ast.Subscript) else node.target
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                yield target.value
            elif isinstance(target, ast.Attribute):
                yield target
    elif isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            yield node.func.value
        elif last_word(node.func) == "next" and node.args:
            yield node.args[0]
