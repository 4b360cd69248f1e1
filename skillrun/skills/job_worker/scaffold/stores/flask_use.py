"""How a repository gets at its Flask app: what a signal or a callback does runs outside of every
app context.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.places import is_aside
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_FLASK = ("flask.Flask", "flask.app.Flask")
_SCHEDULER = "flask_apscheduler"
_HOPS = 3


@dataclass(frozen=True)
class FlaskApp:
    """`lines` import what `expression`, an instance of Flask, is made of."""

    lines: tuple[str, ...]
    expression: str


def find_app(project: Project, near: str) -> FlaskApp | None:
    """The app of the process, in this order: one that Flask-APScheduler holds, an object, what a
    factory makes.

    `near`: the module of the job library's app; an object that a factory makes counts first there.
    """
    held, made = _scheduler(project), _object_or_factory(project, near)
    if held is None or made is None:
        return held or made
    return FlaskApp((*made.lines, *held.lines), f"{held.expression} or {made.expression}")


def _scheduler(project: Project) -> FlaskApp | None:
    """Flask-APScheduler knows the app once it is bound to it."""
    for module in _modules(project, _SCHEDULER):
        for name, value in _assigned(module):
            if (module.resolve(value.func) or "").startswith(_SCHEDULER):
                return FlaskApp((f"from {module.name} import {name}",), f"{name}.app")
    return None


def _object_or_factory(project: Project, near: str) -> FlaskApp | None:
    found = sorted(_found(project, near), key=lambda one: (one[0], one[1]))
    if not found:
        return None
    return found[0][2]


def _found(project: Project, near: str) -> Iterator[tuple[int, str, FlaskApp]]:
    """(rank, path, app): a factory's object elsewhere, as in wsgi.py, is one more app, so it comes
    last.
    """
    for module in _modules(project, "Flask", "create_app", "make_app", "app_factory"):
        for name, value in _assigned(module):
            if _makes_app(project, module, value):
                direct = _is_flask(project, module, value)
                yield (
                    0 if module.path == near else 1 if direct else 3,
                    module.path,
                    _imported(module, name, name),
                )
        for node in module.tree.body:
            if (
                isinstance(node, ast.FunctionDef)
                and not _needs_arguments(node)
                and _returns_app(project, module, node)
            ):
                yield 2, module.path, _imported(module, node.name, f"{node.name}()")


def _imported(module: Module, name: str, expression: str) -> FlaskApp:
    return FlaskApp((f"from {module.name} import {name}",), expression)


def _makes_app(project: Project, module: Module, call: ast.Call, hops: int = _HOPS) -> bool:
    """Flask(...), or a call of a function of the repository that returns such an app."""
    if _is_flask(project, module, call):
        return True
    found = None
    if hops:
        found = project.lookup(module.resolve(call.func) or "")
    node = None
    if found and found.definition:
        node = found.definition.node
    home = None
    if found:
        home = found.module
    return (
        isinstance(node, ast.FunctionDef)
        and home is not None
        and _returns_app(project, home, node, hops - 1)
    )


def _is_flask(project: Project, module: Module, call: ast.Call) -> bool:
    name = module.resolve(call.func) or ""
    found = project.lookup(name)
    node = None
    if found and found.definition:
        node = found.definition.node
    if isinstance(node, ast.ClassDef) and found is not None and found.module is not None:
        return any(project.origin_of(found.module, base) in _FLASK for base in node.bases)
    return name in _FLASK or project.origin(name) in _FLASK


def _returns_app(
    project: Project, module: Module, node: ast.FunctionDef, hops: int = _HOPS
) -> bool:
    """Whether a function returns an app that it has made; a function inside of it is another
    one.
    """
    made = set()
    for one in ast.walk(node):
        if (isinstance(one, ast.Assign) and isinstance(one.value, ast.Call)) and _makes_app(
            project, module, one.value, hops
        ):
            made.add(ast.unparse(one.targets[0]))
    returned = [one.value for one in find_nodes(node, ast.Return) if one.value is not None]
    return any(
        ast.unparse(value) in made
        or (isinstance(value, ast.Call) and _makes_app(project, module, value, hops))
        for value in returned
    )


def _needs_arguments(node: ast.FunctionDef) -> bool:
    positional = [*node.args.posonlyargs, *node.args.args]
    return len(positional) > len(node.args.defaults) or None in node.args.kw_defaults


def _assigned(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) of what a module holds."""
    for node in module.tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Call)
        ):
            yield node.targets[0].id, node.value


def _modules(project: Project, *words: str) -> Iterator[Module]:
    for path in sorted({path for word in words for path in project.tree.search(word)}):
        if is_aside(path):
            module = None
        else:
            module = project.module(path)
        if module is not None:
            yield module
