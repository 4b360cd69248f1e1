"""Which function of the application a stand-in of the tests takes the place of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.repo.places import is_aside, is_test
from skillrun.skills.job_worker.readings.clients import reach

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import CallSeen
    from skillrun.repo.python import Project

_SELF = ("self", "cls")
_MAILERS = "django.core.mail.backends."
# A test that hands an adapter its transport, `patch.object(Client, "__init__", ...)`, says how an
# object is made, and no way out of the process.
_OF_TESTS = ("unittest", "builtins")  # a mock, a plain object
_HOW_MADE = re.compile(r"[.:]__(?!call__)\w+__$")


def find_effect_of(project: Project, call: CallSeen, drafted: tuple[str, ...]) -> str | None:
    """The import path of what a call stands for; None where that cannot be told.

    `drafted`: the effects that reading has found. A call that a test has replaced by name is that
    name, where it is the application's or leads out of the process.
    """
    if call.path in drafted or call.path.startswith(_MAILERS):
        return call.path
    if _HOW_MADE.search(call.path):
        return None
    if not call.is_stand_in:
        is_ours = project.definition(call.path.replace(":", ".")) is not None
        leaves = reach(call.path.replace(":", "."))
        if is_ours and _hands_out_client(project, call):
            return None
        is_effect = is_ours or (leaves is not None and leaves.writes is not None)
        if is_effect and call.is_replaced:
            return call.path
        return None
    last = call.path.rpartition(".")[2].rpartition(":")[2]
    named = [path for path in drafted if path.rpartition(".")[2].rpartition(":")[2] == last]
    if len(named) == 1:
        return named[0]
    alike = set(_list_alike(project, last, frozenset(call.arguments)))
    if len(alike) == 1:
        return alike.pop()
    return None


def _hands_out_client(project: Project, call: CallSeen) -> bool:
    """Whether a function does nothing but make an object of a library, such as a connection, and
    the tests have it give one of another library: a stand-in that answers nothing would be none.
    """
    made = ""
    if isinstance(call.returned, dict):
        made = call.returned.get("?", "")
    home = made.partition(":")[0]
    if not made or home.partition(".")[0] in _OF_TESTS or project.locate(home) is not None:
        return False
    definition = project.definition(call.path.replace(":", "."))
    if definition is None or isinstance(definition.node, ast.ClassDef):
        return False
    first, *others = [one for one in definition.node.body if not _is_text(one)] or [ast.Pass()]
    return not others and isinstance(first, ast.Return) and isinstance(first.value, ast.Call)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _list_alike(project: Project, name: str, given: frozenset[str]) -> Iterator[str]:
    """The application's functions of that name that take these arguments."""
    if not given:
        return
    for path in project.tree.search(name, ".py"):
        module = project.module(path)
        if module is None or is_test(path) or is_aside(path):
            continue
        for dotted, node in _list_functions(module.tree, ""):
            if node.name == name and given <= _list_parameters(node):
                yield f"{project.import_name(path)}:{dotted}"


def _list_functions(
    node: ast.AST, within: str
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{within}{inner.name}", inner
        elif isinstance(inner, ast.ClassDef):
            yield from _list_functions(inner, f"{within}{inner.name}.")


def _list_parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    arguments = node.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {argument.arg for argument in every if argument.arg not in _SELF}
