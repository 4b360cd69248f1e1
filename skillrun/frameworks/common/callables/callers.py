"""What leads to a plain callable: its callers, the modules that run it as their own code, the loops
around it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.loops import poll_loops, polls
from skillrun.frameworks.common.reading import place_of
from skillrun.repo.places import is_aside
from skillrun.repo.python import Definition, Module, Project, Use
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.uses import FrameworkUse

# Callers of callers that are looked at.
_FOLLOWED = 3
COMMANDS = "/management/commands/"
_COMMAND_CLASSES = ("django.core.management.base.BaseCommand", "django.core.management.BaseCommand")


def callers_of(project: Project, function: Definition) -> Iterator[Definition]:
    """The functions that call one themselves."""
    for use in project.uses(function.dotted):
        caller = use.module.function_of(use.node)
        if caller is not None and use.module.find_call_of(use.node) is not None:
            yield project.define(use.module, caller)


@dataclass
class Reach:
    """`functions`: the handler, then what calls it. `entries`: path -> the line by which its module
    runs it.
    """

    functions: list[Definition] = field(default_factory=list)
    entries: dict[str, Place] = field(default_factory=dict)
    loops: list[Place] = field(default_factory=list)


def find_callable(project: Project, use: FrameworkUse, import_path: str) -> Definition | None:
    """The function behind "module:function"; for a Django command, or its module's `Command`, its
    `handle`.
    """
    found = project.find(import_path)
    if found is None or not found.is_class:
        return found
    if set(_COMMAND_CLASSES) & set(project.ancestors(found.dotted)):
        return project.definition(f"{found.dotted}.handle")
    return project.definition(f"{found.dotted}.run") or project.definition(
        f"{found.dotted}.__call__"
    )


def own_place(handler: Definition) -> Place:
    """The line of its `def`."""
    return Place(handler.path, handler.line, handler.module.line_text(handler.line))


def called(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """The repository's functions and classes that the handler's own body calls."""
    found = (
        project.definition(call.name) for call in project.calls(handler, depth=0) if call.resolved
    )
    return tuple(
        {
            one.dotted: one for one in found if one is not None and one.node is not handler.node
        }.values()
    )


def reach_of(project: Project, handler: Definition) -> Reach:
    """Follows the callers outside tests, three functions up."""
    return project.remember(
        ("callables.reach", handler.path, handler.name), lambda: _climb_callers(project, handler)
    )


def reach_of_places(project: Project, places: Iterable[tuple[Module, ast.AST]]) -> Reach:
    """The same for places in the code that do something by themselves, such as sending a
    message.
    """
    reach = Reach()
    return _visit_callers(
        project,
        reach,
        [
            above
            for module, node in places
            for above in _list_callers_above(project, reach, module, node, -1)
        ],
    )


def _climb_callers(project: Project, handler: Definition) -> Reach:
    reach = Reach(
        [handler], loops=[place_of(handler.module, loop) for loop in poll_loops(handler.node)]
    )
    return _visit_callers(project, reach, [(handler, 0)])


def _visit_callers(project: Project, reach: Reach, waiting: list[tuple[Definition, int]]) -> Reach:
    while waiting:
        part, height = waiting.pop(0)
        _note_command(reach, part)
        for use in project.uses(part.dotted):
            if (
                not is_aside(use.path)
                and part.node not in use.module.parents(use.node)
                and _runs_function(use)
            ):
                waiting += _list_callers_above(project, reach, use.module, use.node, height)
    return reach


def _list_callers_above(
    project: Project, reach: Reach, module: Module, node: ast.AST, height: int
) -> Iterator[tuple[Definition, int]]:
    """The function around a node, where it is to be followed; a module that runs the node is noted
    as an entry.
    """
    reach.loops += [place_of(module, loop) for loop in _list_loops_around(module, node)]
    function = module.function_of(node)
    above = None
    if function:
        above = project.define(module, function)
    if above is None:
        reach.entries.setdefault(module.path, place_of(module, node))
    elif height < _FOLLOWED and above.dotted not in {one.dotted for one in reach.functions}:
        reach.functions.append(above)
        yield above, height + 1


def _note_command(reach: Reach, part: Definition) -> None:
    if COMMANDS in f"/{part.path}" and part.name.rpartition(".")[2] in ("handle", "handle_noargs"):
        reach.entries.setdefault(part.path, own_place(part))


def _runs_function(use: Use) -> bool:
    """It is called, or handed to a call such as `asyncio.run(main())` or `Thread(target=main)`."""
    above = next(use.module.parents(use.node), None)
    return isinstance(above, ast.Call | ast.keyword)


def _list_loops_around(module: Module, node: ast.AST) -> Iterator[ast.While]:
    for above in module.parents(node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(above, ast.While) and polls(above):
            yield above
