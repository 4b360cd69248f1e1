"""The functions that do a job's work: a handler is often thin, and tests call what it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from skillrun.proof.fixtures.watch import Part
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.drafting.telling import is_telling
from skillrun.skills.job_worker.overview.reaching_tests import find_tests_of

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Project
    from skillrun.skills.job_worker.drafting.draft import Draft

_CHOOSING = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Match)
_MOST = 8
_DEPTH = 2  # functions below a handler that takes nothing
_GIVEN = ("self", "ctx", "context")  # by the library, and no part of a message


def find_parts(project: Project, handler: Definition, needed: Iterable[str]) -> tuple[Part, ...]:
    """The functions that the handler calls with its own arguments, so that what a test gives to
    one says what the handler would have been given. `needed`: the arguments of a message.
    """
    found: dict[str, Part] = {}
    # An argument with a default is part of the message, too: without it nothing was handed on.
    given = tuple(name for name in handler.parameters if name not in _GIVEN)
    needed = tuple(needed) or given
    is_hidden = _hides_arguments(handler)
    # What takes nothing does the same whichever of the functions below it begins.
    depth = 0 if needed or is_hidden else _DEPTH
    for call, target in _list_own_calls(project, handler, depth):
        renamed = _match_parameters(call, target, handler)
        if is_hidden and not renamed:
            continue
        if set(needed) <= set(renamed.values()):
            tests = tuple(dict.fromkeys(place.path for place in find_tests_of(project, target)))
            part = Part(target.path, target.name, target.import_path, renamed, tests)
            found.setdefault(target.import_path, part)
    with_tests = [part for part in found.values() if part.tests]
    return tuple(with_tests[:_MOST])


def _hides_arguments(handler: Definition) -> bool:
    """Whether `*args` or `**kwargs` take the message: what the signature names is not all of it."""
    if isinstance(handler.node, ast.ClassDef):
        return False
    return bool(handler.node.args.vararg or handler.node.args.kwarg)


def list_handed_on(
    project: Project, handler: Definition
) -> Iterator[tuple[Definition, Mapping[str, str]]]:
    """The handler and the functions that it calls, each with its parameter -> the handler's."""
    yield handler, {name: name for name in handler.parameters if name not in _GIVEN}
    for call, target in _list_own_calls(project, handler, _DEPTH):
        is_own = call.path == handler.path and handler.node in call.module.parents(call.node)
        renamed: Mapping[str, str] = {}
        if is_own:
            renamed = _match_parameters(call, target, handler)
        yield target, renamed


def list_needed(draft: Draft, handler: Definition) -> tuple[str, ...]:
    """The arguments without which the handler cannot be called, also where it takes others."""
    if draft.values.get("message") == "payload" or isinstance(handler.node, ast.ClassDef):
        return ()
    taken = handler.node.args
    is_hidden = taken.vararg is not None or taken.kwarg is not None
    if "payload" in draft.values and not is_hidden:
        return tuple(draft.values["payload"]["required"])
    return _list_without_default(taken)


def _list_without_default(taken: ast.arguments) -> tuple[str, ...]:
    plain = [arg.arg for arg in (*taken.posonlyargs, *taken.args)]
    without_default = plain[: len(plain) - len(taken.defaults)]
    return tuple(name for name in without_default if name not in _GIVEN)


def find_body(project: Project, handler: Definition) -> str | None:
    """The only function that the handler calls, with nothing but its own arguments, and whatever it
    finds: it is the job itself, and no stand-in for it shows anything. A handler that looks up a
    row, or saves one, works itself, and the function may be its way out.
    """
    calls = list(_list_own_calls(project, handler, 0))
    if len({target.import_path for _, target in calls}) != 1:
        return None
    call, target = calls[0]
    if _works_itself(handler, call):
        return None
    for value in (*call.node.args, *call.keywords.values()):
        if not isinstance(value, ast.Name) or value.id not in handler.parameters:
            return None
    return None if _is_chosen(call, handler) else target.import_path


def _works_itself(handler: Definition, call: Call) -> bool:
    """Whether the handler makes another call, and not only to tell of it or to open a context."""
    opened = set[ast.AST]()
    for node in ast.walk(handler.node):
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                opened.add(item.context_expr)
    for statement in handler.node.body:
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call) or node is call.node or node in opened:
                continue
            if not is_telling(node):
                return True
    return False


def _is_chosen(call: Call, handler: Definition) -> bool:
    """Whether the handler decides itself if, or how often, the call is made."""
    choices = [node for node in ast.walk(handler.node) if isinstance(node, _CHOOSING)]
    return any(call.node in ast.walk(choice) for choice in choices)


def _list_own_calls(
    project: Project, handler: Definition, depth: int
) -> Iterator[tuple[Call, Definition]]:
    for call in project.calls(handler, depth=depth):
        target = project.definition(call.origin) if call.resolved else None
        if target is None or target.is_class or is_aside(target.path):
            continue
        if target.path != handler.path or target.name != handler.name:
            yield call, target


def _match_parameters(call: Call, target: Definition, handler: Definition) -> dict[str, str]:
    """Parameter of the function -> the handler's that is handed on."""
    taken = [name for name in target.parameters if name not in ("self", "cls")]
    given = dict(zip(taken, call.node.args, strict=False))
    given.update(call.keywords)
    renamed = {}
    for name, value in given.items():
        if not isinstance(value, ast.Name) or value.id in _GIVEN:
            continue
        if value.id in handler.parameters and name in taken:
            renamed[name] = value.id
    return renamed
