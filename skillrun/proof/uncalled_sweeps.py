"""Sweeps of the spec that nothing that the repository starts calls. A proof calls each of them by
hand: that somebody does so in production is read.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from skillrun.core.errors import RepoUnusable
from skillrun.repo.places import is_test
from skillrun.repo.tree import Tree

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

# Decorators that make a job of a function, and let nobody call it: the others may do anything.
_MAKES_JOB = frozenset({"task", "shared_task", "actor", "job", "db_task", "atomic"})
# Words in a decorator by which a library calls the function itself.
_CALLS = frozenset(
    {"cron", "crontab", "every", "interval", "periodic", "run_every", "schedule", "scheduled"}
)
# Decorators by which Huey's scheduler calls a function.
_PERIODIC = frozenset({"periodic_task", "db_periodic_task"})
_WORD = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(r"[\w.:/-]+")
_PROSE = (".md", ".rst", ".txt")
_DEEPEST = 4  # jobs that publish one another; what lies deeper counts as called
_OWN_FOLDER = ".skillrun/"  # the spec names it, and calls nothing


@dataclass(frozen=True)
class _Code:
    """The repository's files, and which functions its library's scheduler was seen to call; None:
    nobody has looked.
    """

    tree: Tree
    scheduled: tuple[str, ...] | None


def find_uncalled(
    root: Path, calls: Iterable[str], scheduled: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """Those of some functions ("shop.upkeep:requeue") to which nothing refers outside of tests, and
    which no decorator has called by itself. What is not a plain function of the repository counts
    as called.

    `scheduled`: the functions that the library's scheduler calls in the workers that are started;
    None where that is not known, and a decorator is believed.
    """
    code = _Code(Tree(root), scheduled)
    with contextlib.suppress(RepoUnusable):
        return tuple(call for call in calls if _is_uncalled(code, call))
    return ()


def _is_uncalled(code: _Code, call: str) -> bool:
    module, _, name = call.partition(":")
    path = _find_file(code.tree, module)
    for function in _list_functions(code.tree, path):
        if function.name == name:
            is_called = _is_called(code, path, function)
            return not is_called and not _has_called_twin(code, path, function)
    return False


def _has_called_twin(code: _Code, path: str, function: _Function) -> bool:
    """Whether one beside it that calls the same helper of the module is called: that is for the
    schedule, where this is for the command line.
    """
    functions = _list_functions(code.tree, path)
    helpers = _find_called(function) & {one.name for one in functions}
    for one in functions:
        is_twin = one.name != function.name and not _find_called(one).isdisjoint(helpers)
        if is_twin and _is_called(code, path, one):
            return True
    return False


def _is_called(code: _Code, path: str, function: _Function, depth: int = 0) -> bool:
    """By its decorator, or by somebody who refers to it: code, a command, a schedule. A job that
    does so, and that nobody publishes, calls nothing.
    """
    if depth > _DEEPEST:
        return True
    is_left = _is_left_by_scheduler(code, path, function)
    if not is_left and any(map(_may_call, function.decorator_list)):
        return True
    tree = code.tree
    for word in (function.name, *_list_task_names(function)):
        for other in tree.search(word, ""):
            if is_test(other) or other.startswith(_OWN_FOLDER):
                continue
            # It was meant for the scheduler: who tells of it in prose starts nothing.
            if is_left and other.endswith(_PROSE):
                continue
            if not other.endswith(".py"):
                return True
            for user in _list_users(tree, other, word, is_left):
                is_itself = other == path and user is not None and user.name == function.name
                if is_itself:
                    continue
                if user is None or not user.decorator_list:
                    return True
                if _is_called(code, other, user, depth + 1):
                    return True
    return False


def _is_left_by_scheduler(code: _Code, path: str, function: _Function) -> bool:
    """Whether a decorator gives a function to the library's scheduler, and none that is started has
    it: its module is not imported there, or it is told to leave all of them alone.
    """
    if code.scheduled is None:
        return False
    words: set[str] = set()
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        words.update(_WORD.findall(ast.unparse(called))[-1:])
    if words.isdisjoint(_PERIODIC):
        return False
    for one in code.scheduled:
        module, _, name = one.partition(":")
        if name == function.name and f"/{path}".endswith(f"/{module.replace('.', '/')}.py"):
            return False
    return True


def _list_users(
    tree: Tree, path: str, word: str, is_left: bool = False
) -> Iterator[_Function | None]:
    """The functions of a module that refer to a name; None for anything else in it. An import by
    itself, a docstring or a comment refers to nothing; of what its scheduler has left, a text that
    is more than a name refers to nothing either, such as that of a log record.
    """
    try:
        body = ast.parse(tree.read(path) or b"").body
    except (SyntaxError, ValueError):
        yield None
        return
    for statement in body:
        nodes = _walk_code(statement)
        if is_left:
            nodes = filter(_is_no_prose, nodes)
        if any(_refers(node, word) for node in nodes):
            yield statement if isinstance(statement, _Function) else None


def _walk_code(statement: ast.stmt) -> Iterator[ast.AST]:
    """Without what stands there as text alone."""
    texts = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts.add(node.value)
        if node not in texts:
            yield node


def _is_no_prose(node: ast.AST) -> bool:
    """Whether a node is no text, or one that may name a function: "shop.upkeep:requeue"."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _PATH.fullmatch(node.value) is not None
    return True


def _refers(node: ast.AST, word: str) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and word in _WORD.findall(node.value)
    return word in (getattr(node, "id", None), getattr(node, "attr", None))


def _find_file(tree: Tree, module: str) -> str:
    """Its path below whatever source root; "" where there is none, or more than one."""
    ending = module.replace(".", "/") + ".py"
    found = {*tree.match(ending), *tree.match(f"**/{ending}")}
    if len(found) == 1:
        return found.pop()
    return ""


def _list_functions(tree: Tree, path: str) -> list[_Function]:
    """Those of a module; none of one that cannot be read."""
    found: list[_Function] = []
    text = tree.read(path) if path else None
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.parse(text or b"").body:
            if isinstance(node, _Function):
                found.append(node)
    return found


def _find_called(function: _Function) -> set[str]:
    """The names that it calls, without their owners."""
    found: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            found.update(_WORD.findall(ast.unparse(node.func))[-1:])
    return found


def _may_call(decorator: ast.expr) -> bool:
    words: set[str] = set()
    for node in ast.walk(decorator):
        for field in ("id", "attr", "arg"):
            words.add(str(getattr(node, field, "")))
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    is_plain = _WORD.findall(ast.unparse(called))[-1] in _MAKES_JOB
    return not is_plain or not _CALLS.isdisjoint(words)


def _list_task_names(function: _Function) -> Iterator[str]:
    """Under which its library knows it: name="shop.requeue"."""
    for decorator in function.decorator_list:
        for node in ast.walk(decorator):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _WORD.findall(node.value)[-1:]
