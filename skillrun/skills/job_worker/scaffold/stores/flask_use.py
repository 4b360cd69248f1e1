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
# A factory may call another one, which calls Flask.
_HOPS = 3
# How plainly an app is the one of the process, the plainest first.
_NEAR, _DIRECT, _FACTORY, _MADE_ELSEWHERE = range(4)


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
    held, made = _find_scheduler(project), _find_object_or_factory(project, near)
    if held is None or made is None:
        return held or made
    return FlaskApp((*made.lines, *held.lines), f"{held.expression} or {made.expression}")


def _find_scheduler(project: Project) -> FlaskApp | None:
    """The app of a Flask-APScheduler, which knows it once it is bound to it."""
    for module in _find_modules(project, _SCHEDULER):
        for name, value in _list_assigned_calls(module):
            if (module.resolve(value.func) or "").startswith(_SCHEDULER):
                return _import_app(module, name, f"{name}.app")
    return None


def _find_object_or_factory(project: Project, near: str) -> FlaskApp | None:
    """The app that is most plainly the one of the process; of equals, the one with the first
    path.
    """
    candidates = _list_candidates(project, near)
    first = min(candidates, key=lambda one: (one[0], one[1]), default=None)
    if first is None:
        return None
    _, _, app = first
    return app


def _list_candidates(project: Project, near: str) -> Iterator[tuple[int, str, FlaskApp]]:
    """(rank, path, app) for each object and each factory. What a factory made elsewhere, as in
    wsgi.py, is one more app, so it comes last.
    """
    for module in _find_modules(project, "Flask", "create_app", "make_app", "app_factory"):
        for name, value in _list_assigned_calls(module):
            if not _makes_app(project, module, value):
                continue
            rank = _MADE_ELSEWHERE
            if module.path == near:
                rank = _NEAR
            elif _is_flask(project, module, value):
                rank = _DIRECT
            yield rank, module.path, _import_app(module, name, name)
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef) or _needs_arguments(node):
                continue
            if _returns_app(project, module, node):
                yield _FACTORY, module.path, _import_app(module, node.name, f"{node.name}()")


def _import_app(module: Module, name: str, expression: str) -> FlaskApp:
    """An app by way of a name that a module has."""
    return FlaskApp((f"from {module.name} import {name}",), expression)


def _makes_app(project: Project, module: Module, call: ast.Call, hops: int = _HOPS) -> bool:
    """Whether it is Flask(...), or a call of a function of the repository that returns such an
    app.
    """
    if _is_flask(project, module, call):
        return True
    if not hops:
        return False
    called = project.lookup(module.resolve(call.func) or "")
    if called is None or called.definition is None or called.module is None:
        return False
    function = called.definition.node
    if not isinstance(function, ast.FunctionDef):
        return False
    return _returns_app(project, called.module, function, hops - 1)


def _is_flask(project: Project, module: Module, call: ast.Call) -> bool:
    """Whether Flask is called, or a class of the repository that derives from it."""
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
    for assign in find_nodes(node, ast.Assign):
        value = assign.value
        if isinstance(value, ast.Call) and _makes_app(project, module, value, hops):
            made.add(ast.unparse(assign.targets[0]))
    for returned in find_nodes(node, ast.Return):
        if returned.value is None:
            continue
        if ast.unparse(returned.value) in made:
            return True
        value = returned.value
        if isinstance(value, ast.Call) and _makes_app(project, module, value, hops):
            return True
    return False


def _needs_arguments(node: ast.FunctionDef) -> bool:
    """Whether it cannot be called without arguments."""
    positional = [*node.args.posonlyargs, *node.args.args]
    return len(positional) > len(node.args.defaults) or None in node.args.kw_defaults


def _list_assigned_calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """(name, call) for each name of a module that is given what a call returns."""
    for node in module.tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        target = node.targets[0]
        if isinstance(target, ast.Name):
            yield target.id, node.value


def _find_modules(project: Project, *words: str) -> Iterator[Module]:
    """The modules that contain one of these words, by their paths; not tests and examples."""
    paths = set[str]()
    for word in words:
        paths.update(project.tree.search(word))
    for path in sorted(paths):
        if is_aside(path):
            continue
        module = project.module(path)
        if module is not None:
            yield module
