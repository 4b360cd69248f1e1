"""Who publishes or schedules a Celery task: calls, signatures, names sent as text, and beat
entries.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.config import in_tests, place_of
from skillrun.frameworks.celery.tasks import Task, names_of, read_task
from skillrun.frameworks.interface import FrameworkUse, Place, Wiring
from skillrun.repo.python import Definition, Module, Project, Use
from skillrun.repo.source import FunctionNode

PUBLISHING = {
    "delay": ".delay(...)",
    "apply_async": ".apply_async(...)",
    "delay_on_commit": (
        ".delay_on_commit(...)"
    ),  # celery/contrib/django/task.py: published after the commit
    "apply_async_on_commit": ".apply_async_on_commit(...)",
}
_SIGNATURES = {
    "s": ".s(...)",
    "si": ".si(...)",
    "signature": ".signature(...)",
    "subtask": ".subtask(...)",
    "chunks": ".chunks(...)",
    "map": ".map(...)",
    "starmap": ".starmap(...)",
}
_BY_NAME = ("send_task", "signature", "subtask", "Signature")
_SCHEDULED_MODELS = (
    "PeriodicTask",
    "create",
    "get_or_create",
    "update_or_create",
    "RedBeatSchedulerEntry",
)


def find_wiring(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Wiring, ...]:
    """Every place that enqueues or schedules the handler, in order of path and line; calls of
    itself left out.
    """
    task = read_task(project, use, handler)
    found: dict[tuple[str, int, str], Wiring] = {}
    every = list(_all(project, task))
    if all(wiring.in_tests for wiring in every):
        every += _handed_on(project, task)
    if not any(wiring.kind == "schedule" for wiring in every):
        every += _ticks(project, use, every)
    for wiring in every:
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, task: Task) -> Iterator[Wiring]:
    for use in project.uses(task.handler.dotted):
        if task.handler.node not in use.module.parents(use.node):
            yield from _by_object(use)
    for alias in _registered_names(project, task):
        for use in project.uses(alias):
            yield from _by_object(use)
    for name in names_of(task):
        yield from _by_name(project, name)
    yield from _fixtures(project, names_of(task))


def _registered_names(project: Project, task: Task) -> Iterator[str]:
    """`send = app.task(_send)`, `send = app.register_task(Send())`: the variables that hold the
    task.
    """
    for use in project.uses(task.handler.dotted):
        for above in list(use.module.parents(use.node))[:3]:
            if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
                yield f"{use.module.name}.{above.targets[0].id}"


def _handed_on(project: Project, task: Task) -> Iterator[Wiring]:
    """The task as a value, in a mapping or an argument: somebody publishes it, but the text does
    not say where.
    """
    for use in project.uses(task.handler.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not in_tests(
            use.path
        ):
            yield _wiring("enqueue", use.module, use.node, "handed on as a value")


def _ticks(project: Project, use: FrameworkUse, enqueued: list[Wiring]) -> Iterator[Wiring]:
    """Schedules of another task that enqueues this one: by itself, or by the function that does."""
    for wiring in enqueued:
        module = project.module(wiring.place.path) if not wiring.in_tests else None
        publisher = _function_at(module, wiring.place.line) if module is not None else None
        if module is None or publisher is None:
            continue
        own = project.define(module, publisher)
        for tick in (own, *_callers(project, own)):
            task = read_task(project, use, tick)
            if task.registered is not None:
                yield from (
                    one
                    for name in names_of(task)
                    for one in _by_name(project, name)
                    if one.kind == "schedule"
                )


def _function_at(module: Module, line: int) -> FunctionNode | None:
    """The function whose body holds a line."""
    found = (
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return next((node for node in found if node.lineno <= line <= (node.end_lineno or 0)), None)


def _callers(project: Project, function: Definition) -> Iterator[Definition]:
    """The functions that call one."""
    for use in project.uses(function.dotted):
        caller = use.module.function_of(use.node)
        above = next(use.module.parents(use.node), None)
        if caller is not None and isinstance(above, ast.Call) and above.func is use.node:
            yield project.define(use.module, caller)


def _by_object(use: Use) -> Iterator[Wiring]:
    above = next(use.module.parents(use.node), None)
    if not isinstance(above, ast.Attribute):
        return
    if above.attr in PUBLISHING:
        yield _wiring("enqueue", use.module, above, PUBLISHING[above.attr])
    elif above.attr in _SIGNATURES:
        yield _scheduled(use.module, above) or _wiring(
            "enqueue", use.module, above, _SIGNATURES[above.attr]
        )
    elif above.attr == "name":
        yield from _named_by(use.module, above)


def _scheduled(module: Module, node: ast.expr) -> Wiring | None:
    """A signature handed to `add_periodic_task`."""
    for above in module.parents(node):
        if isinstance(above, ast.stmt):
            return None
        if (
            isinstance(above, ast.Call)
            and isinstance(above.func, ast.Attribute)
            and above.func.attr == "add_periodic_task"
        ):
            return _wiring("schedule", module, above, "add_periodic_task(...)")
    return None


def _by_name(project: Project, name: str) -> Iterator[Wiring]:
    """Text constants that are the task's name."""
    for module in project.modules_with(name.rpartition(".")[2]):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and node.value == name:
                yield from _named_by(module, node)


def _named_by(module: Module, node: ast.expr) -> Iterator[Wiring]:
    """What a task's name is used for, at the place where it stands."""
    above = next(module.parents(node), None)
    if isinstance(above, ast.Dict):
        yield from _entry(module, above, node)
    elif isinstance(above, ast.keyword) and above.arg in ("task", "name"):
        call = next(module.parents(above), None)
        word = _called(call) if isinstance(call, ast.Call) else ""
        if above.arg == "task" and word in _SCHEDULED_MODELS:
            yield _wiring("schedule", module, node, f"{word}(task=...)")
        elif word in _BY_NAME:
            yield _wiring("enqueue", module, node, f"{word}({_quoted(node)})")
    elif isinstance(above, ast.Call) and above.args[:1] == [node] and _called(above) in _BY_NAME:
        yield _scheduled(module, node) or _wiring(
            "enqueue", module, node, f"{_called(above)}({_quoted(node)})"
        )


def _entry(module: Module, entry: ast.Dict, node: ast.expr) -> Iterator[Wiring]:
    """`{"task": "shop.tasks.send", "schedule": ...}` inside a beat schedule."""
    keys = {
        key.value: value
        for key, value in zip(entry.keys, entry.values, strict=True)
        if isinstance(key, ast.Constant)
    }
    if keys.get("task") is not node or "schedule" not in keys:
        return
    yield _wiring("schedule", module, node, f"beat_schedule[{_entry_name(module, entry)!r}]")


def _entry_name(module: Module, entry: ast.Dict) -> str:
    above = next(module.parents(entry), None)
    if isinstance(above, ast.Dict):
        key = above.keys[above.values.index(entry)]
        return str(key.value) if isinstance(key, ast.Constant) else "..."
    if isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Subscript):
        key = above.targets[0].slice
        return str(key.value) if isinstance(key, ast.Constant) else "..."
    return "..."


def _fixtures(project: Project, names: tuple[str, ...]) -> Iterator[Wiring]:
    """django-celery-beat rows that ship as JSON fixtures."""
    for name in names:
        for path in project.tree.search(name, ".json"):
            lines = (project.tree.read(path) or b"").decode("utf-8", "replace").splitlines()
            if not any("django_celery_beat" in line for line in lines):
                continue
            for number, line in enumerate(lines, 1):
                if f'"{name}"' in line:
                    yield Wiring(
                        "schedule",
                        _place(path, number, line),
                        "django_celery_beat fixture",
                        in_tests(path),
                    )


def _place(path: str, line: int, text: str) -> Place:
    return Place(path, line, text.strip())


def _wiring(kind: str, module: Module, node: ast.AST, how: str) -> Wiring:
    return Wiring(kind, place_of(module, node), how, in_tests(module.path))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _quoted(node: ast.expr) -> str:
    return repr(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)
