"""The schedulers of a repository, and the sources of what they send.

Source: taskiq/scheduler/scheduler.py (`TaskiqScheduler(broker, sources)`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.reading import held_value
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module, Project
from skillrun.repo.syntax import find_keyword

Source = tuple[ast.expr, Module]


@dataclass(frozen=True)
class Scheduler:
    """A `TaskiqScheduler(...)`. `sources` are the elements of its list; None where that cannot be
    told.
    """

    node: ast.Call
    module: Module
    sources: tuple[Source, ...] | None

    @property
    def broker(self) -> ast.expr | None:
        """The broker that it sends through."""
        return argument(self.node, "broker", 0)

    @property
    def is_listed(self) -> bool:
        """Its sources are a list that is written out, and named."""
        return any(
            one.arg == "sources" and isinstance(one.value, ast.List) for one in self.node.keywords
        )

    @property
    def name(self) -> str:
        """The variable of its module that holds it; "" where none does."""
        return _name_scheduler(self.module, self.node)


def find_schedulers(project: Project) -> tuple[Scheduler, ...]:
    """Every one outside the tests, in order of path and line."""
    return project.remember(("taskiq.schedulers",), lambda: tuple(_find_all(project)))


def _find_all(project: Project) -> Iterator[Scheduler]:
    for module in project.modules_with("TaskiqScheduler"):
        for node in () if is_plainly_test(module.path) else module.all_nodes:
            name = None
            if isinstance(node, ast.Call):
                name = module.resolve(node.func)
            if isinstance(node, ast.Call) and name and name.endswith("TaskiqScheduler"):
                yield Scheduler(node, module, _read_sources(project, node, module))


def _read_sources(project: Project, call: ast.Call, module: Module) -> tuple[Source, ...] | None:
    given = argument(call, "sources", 1)
    held = None
    if given is not None:
        held = held_value(project, given, module)
    if held is None or not isinstance(held[0], ast.List | ast.Tuple):
        return None
    return (
        *((one, held[1]) for one in held[0].elts),
        *_find_appended(module, _name_scheduler(module, call)),
    )


def _find_appended(module: Module, name: str) -> Iterator[Source]:
    """`scheduler.sources.append(...)` in its module."""
    if name:
        for node in module.all_nodes:
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == f"{name}.sources.append"
                and node.args
            ):
                yield node.args[0], module


def _name_scheduler(module: Module, call: ast.Call) -> str:
    above = next(module.parents(call), None)
    target = getattr(above, "target", None)
    if isinstance(above, ast.Assign):
        target = above.targets[0]
    if isinstance(target, ast.Name) and module.function_of(call) is None:
        return target.id
    return ""


def argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    """An argument that may be given in either way."""
    named = find_keyword(call, name)
    if named is not None or len(call.args) <= position:
        return named
    return call.args[position]


def class_of(project: Project, node: ast.expr, module: Module) -> str:
    """The class that an expression is an object of, without its module; "" where that cannot be
    told.
    """
    held = held_value(project, node, module)
    func = None
    if held is not None and isinstance(held[0], ast.Call):
        func = held[0].func
    name = None
    if held is not None and func is not None:
        name = held[1].resolve(func)
    if not name:
        return ""
    return project.origin(name).rpartition(".")[2]
