"""With what an error is made, as the code that raises it has it.

What an exception holds (`args`) is what its class has handed on to Python, and mostly a text that
it made: only the places where it is made show what it was given.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.repo.literals import is_known

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Module

_MOST_BASES = 5
# In the place of a text that only running could tell. A number, such as a status, may decide what
# the handler does, and is not made up.
_SOME_TEXT = "as the code tells it"


def find_making(project: Project, error: str) -> dict[str, Any] | None:
    """The `args` and `kwargs` of an error of the repository, by the place where it is made that
    says most of them; None where its class asks for none, or where no place shows one.
    """
    definition = project.definition(error.replace(":", "."))
    if definition is None or not _asks_for_arguments(project, definition):
        return None
    best: tuple[int, dict[str, Any]] | None = None
    for call in project.references(definition.dotted):
        found = _read_call(project, call.node, call.module)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        return None
    return best[1]


def has_own_beginning(project: Project, error: str) -> bool:
    """Whether an error of the repository decides itself what becomes of its arguments."""
    definition = project.definition(error.replace(":", "."))
    return definition is not None and _find_beginning(project, definition) is not None


def _asks_for_arguments(project: Project, definition: Definition) -> bool:
    begins = _find_beginning(project, definition)
    if begins is None:
        return False
    arguments = begins.args
    positional = (*arguments.posonlyargs, *arguments.args)[1:]  # without self
    asked = len(positional) - len(arguments.defaults)
    return asked > 0 or None in arguments.kw_defaults


def _find_beginning(project: Project, definition: Definition) -> ast.FunctionDef | None:
    """The `__init__` of a class, or of the nearest base in the repository that has one."""
    for kind in _list_bases(project, definition):
        for statement in kind.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return statement
    return None


def _list_bases(project: Project, definition: Definition) -> Iterator[Definition]:
    """The class itself first."""
    found: Definition | None = definition
    for _ in range(_MOST_BASES):
        if found is None or not isinstance(found.node, ast.ClassDef):
            return
        yield found
        above: Definition | None = None
        for base in found.node.bases:
            name = found.module.resolve(base)
            if name and above is None:
                above = project.definition(name)
        found = above


def _read_call(
    project: Project, call: ast.Call, module: Module
) -> tuple[int, dict[str, Any]] | None:
    """(how many arguments had to be made up, the arguments); None where some are hidden."""
    nodes = [*call.args, *(keyword.value for keyword in call.keywords)]
    is_hidden = any(isinstance(node, ast.Starred) for node in nodes)
    if is_hidden or any(keyword.arg is None for keyword in call.keywords):
        return None
    made_up = 0
    values: list[Any] = []
    for node in nodes:
        value, is_read = _read_value(project, node, module)
        if value is None and not is_read:
            return None
        made_up += not is_read
        values.append(value)
    positional, named = values[: len(call.args)], values[len(call.args) :]
    made: dict[str, Any] = {}
    if positional:
        made["args"] = positional
    if named:
        names = [str(keyword.arg) for keyword in call.keywords]
        made["kwargs"] = dict(zip(names, named, strict=True))
    return made_up, made


def _read_value(project: Project, node: ast.expr, module: Module) -> tuple[Any, bool]:
    """(a value, whether the code says it). None, False: nothing says even of which kind it is."""
    value = project.literal(node, module)
    if is_known(value) and (value is None or isinstance(value, bool | int | float | str)):
        return value, True
    if isinstance(node, ast.IfExp):
        # As `int(wait) if wait.isdigit() else 60`.
        branches = [_read_value(project, part, module) for part in (node.orelse, node.body)]
        said = [branch for branch in branches if branch[1]]
        return (said or branches)[0]
    made_by = ""
    if isinstance(node, ast.Call):
        made_by = ast.unparse(node.func)
    if isinstance(node, ast.JoinedStr) or made_by in ("str", "repr"):
        return _SOME_TEXT, False
    return None, False
