"""Where a Celery app names the modules that its workers load."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.repo.places import is_aside
from skillrun.repo.syntax import read_entries

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module

_NAMES = ("CELERY_INCLUDE", "CELERY_IMPORTS")
_KEYS = ("include", "imports")
_BESIDE = (
    "broker_url",
    "result_backend",
    "task_serializer",
    "task_ignore_result",
    "timezone",
    "beat_schedule",
)
CALL = "Celery(include=)"


def find_loading(project: Project, facts: Facts) -> tuple[str, str] | None:
    """(path, target of `Entry`) of the list that has to name the handler's module; None where
    something loads it.

    The settings' list counts first, then `Celery(include=[...])`, also where a function makes the
    app.
    """
    if facts.app is not None:
        path = facts.app.path
    else:
        path = (facts.use.app or "").partition(":")[0]
    app = None
    if path:
        app = project.module(path)
    if app is None or facts.path in facts.use.task_modules or _discovers_tasks(app):
        return None
    return next(_in_settings(project), None) or _in_call(app)


def _discovers_tasks(app: Module) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "autodiscover_tasks"
        for node in app.all_nodes
    )


def _in_settings(project: Project) -> Iterator[tuple[str, str]]:
    """`CELERY_IMPORTS = [...]`, or `CELERY_CONFIG = {"broker_url": ..., "include": [...]}`."""
    for path in sorted({path for word in (*_NAMES, *_KEYS) for path in project.tree.search(word)}):
        if is_aside(path):
            module = None
        else:
            module = project.module(path)
        if module is not None:
            for node in module.tree.body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    target = _find_target(node.targets[0].id, node.value)
                    if target is not None:
                        yield path, target


def _find_target(name: str, value: ast.expr) -> str | None:
    if name in _NAMES and isinstance(value, ast.List | ast.Tuple):
        return name
    if not isinstance(value, ast.Dict):
        return None
    held = read_entries(value)
    key = next((key for key in _KEYS if isinstance(held.get(key), ast.List | ast.Tuple)), None)
    if key is not None and any(beside in held for beside in _BESIDE):
        return f'{name}["{key}"]'
    return None


def _in_call(app: Module) -> tuple[str, str] | None:
    """The only call of Celery in the app's module."""
    calls = []
    for node in app.nodes(ast.Call):
        calls.append(node)
    made = []
    for call in calls:
        if ast.unparse(call.func).rpartition(".")[2] == "Celery":
            made.append(call)
    spread = any(keyword.arg is None for call in made for keyword in call.keywords)
    if len(made) == 1 and not spread:
        return (app.path, CALL)
    return None
