"""The transaction that Django opens around each web request where its settings say ATOMIC_REQUESTS:
the application's own call then runs within it, if a view makes that call.

A transaction that is opened here and is none in production lets a right publish look wrong: where
it is in doubt whether a view makes the call itself, none is.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import itertools
import os
import select
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .names import find_object

# From a view to the call: a service, its helper, and what that calls.
_DEEPEST = 4
# For the web application to be imported beside its worker.
_LONGEST_S = 30.0
_HTTP_METHODS = ("get", "post", "put", "patch", "delete")
# Functions that are called later, or by another: `on_commit`, Celery's `delay_on_commit`.
_LATER = "on_commit"
_LATER_CODE = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def find_request_databases(path: str | None, root: str) -> tuple[str, ...]:
    """The databases that have a transaction open while a view makes the call that `path` names;
    none where no view is seen to make it. `root`: of the repository.

    A process of its own looks: the URLs import the whole web application, which the worker that is
    proved does not, with receivers of signals that this worker never has.
    """
    if path is None or not _list_atomic():
        return ()
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        _tell_databases(path, root, write_fd)
    os.close(write_fd)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    try:
        return _read_names(read_fd)
    finally:
        os.close(read_fd)
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def begin_request(function: Callable[..., Any], databases: tuple[str, ...]) -> Callable[..., Any]:
    """The function within these transactions, as Django's handler puts a view into them. Django
    refuses a coroutine function there.
    """
    if inspect.iscoroutinefunction(function):
        return function
    for name in databases:
        atomic = importlib.import_module("django.db.transaction").atomic
        function = atomic(using=name)(function)
    return function


def _tell_databases(path: str, root: str, write_fd: int) -> None:
    """In a process of its own, which ends here."""
    try:
        os.setpgid(0, 0)
        os.write(write_fd, "\n".join(_look_for_databases(path, root)).encode())
    finally:
        os._exit(0)


def _read_names(read_fd: int) -> tuple[str, ...]:
    """The lines that a process writes before it ends; none where it takes too long."""
    data = b""
    while select.select([read_fd], [], [], _LONGEST_S)[0]:
        chunk = os.read(read_fd, 1 << 16)
        if not chunk:
            return tuple(data.decode().split())
        data += chunk
    return ()


def _list_atomic() -> list[str]:
    """The databases that have a transaction for each request; none where Django is not at work."""
    if "django.db" not in sys.modules:
        return []
    try:
        connections = importlib.import_module("django.db").connections
        return [name for name in connections if connections.settings[name]["ATOMIC_REQUESTS"]]
    # Settings that are none.
    except Exception:
        return []


def _look_for_databases(path: str, root: str) -> list[str]:
    """As `find_request_databases`, in the process that imports the web application."""
    try:
        resolver = importlib.import_module("django.urls").get_resolver()
        views = list(_list_views(resolver))
        call = find_object(path)[2]
    # A web application that cannot be imported beside its worker.
    except Exception:
        return []
    found: dict[str, None] = {}  # as an ordered set
    for view in views:
        left_out = getattr(view, "_non_atomic_requests", ())
        databases = [name for name in _list_atomic() if name not in left_out]
        if databases and Walk(call, root).leads_to_call(view):
            found.update(dict.fromkeys(databases))
    return list(found)


def _list_views(resolver: Any) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _list_views(pattern)
        else:
            yield pattern.callback


class Walk:
    """From a view along the calls in its text, through the repository's own functions."""

    def __init__(self, call: Any, root: str) -> None:
        self.call, self.folder = inspect.unwrap(call), os.path.join(root, "")
        # Function and its class -> how many further calls were followed from it.
        self.followed: dict[tuple[Any, type | None], int] = {}

    def leads_to_call(self, view: Any) -> bool:
        """Whether a view, a function or a class behind one, comes to the call."""
        owner = getattr(view, "view_class", None) or getattr(view, "cls", None)
        if owner is None:
            return self._comes_to_call(inspect.unwrap(view), None, _DEEPEST)
        names = (*_HTTP_METHODS, *(getattr(view, "actions", None) or {}).values())
        methods = [inspect.unwrap(getattr(owner, name)) for name in names if hasattr(owner, name)]
        return any(self._comes_to_call(method, owner, _DEEPEST) for method in methods)

    def _comes_to_call(self, value: Any, owner: type | None, deepest: int) -> bool:
        function = _unwrap_context(value)
        # It runs when it is awaited, or asked for its values.
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            return False
        # The call itself may have any decorator: that is called within the request, too.
        if callable(value) and inspect.unwrap(value) is self.call:
            return True
        if not isinstance(function, FunctionType) or not self._is_to_follow(
            function, owner, deepest
        ):
            return False
        called = [_find_called(name, function, owner) for name in _list_called(function)]
        return any(self._comes_to_call(one, owner_of, deepest - 1) for one, owner_of in called)

    def _is_to_follow(self, function: FunctionType, owner: type | None, deepest: int) -> bool:
        """Whether it is the repository's, and was not followed as far before."""
        if not function.__code__.co_filename.startswith(self.folder):
            return False
        before = self.followed.get((function, owner), 0)
        self.followed[function, owner] = max(before, deepest)
        return before < deepest


def _unwrap_context(value: Any) -> Any:
    """The function within decorators that are context managers, as `atomic` is. What another
    decorator does with its function is not known: it may call it later, or in a thread.
    """
    while isinstance(value, FunctionType) and hasattr(value, "__wrapped__"):
        if value.__globals__.get("__name__") != "contextlib":
            return None
        value = value.__wrapped__
    return value


def _find_called(
    name: tuple[str, ...], function: FunctionType, owner: type | None
) -> tuple[Any, type | None]:
    """(what a dotted name stands for, the class whose method it is). The members of modules and
    classes alone are known; `self` is of the class that the function is a method of.
    """
    first, *members = name
    if first == "self" and owner is not None:
        value: Any = owner
    else:
        value = function.__globals__.get(first)
        owner = None
    for member in members:
        if not isinstance(value, (ModuleType, type)):
            return None, None
        owner = value if isinstance(value, type) else None
        value = _get_member(value, member)
    return value, owner


def _get_member(owner: Any, name: str) -> Any:
    # Not `getattr`: a module may make what it is asked for.
    classes = owner.__mro__ if isinstance(owner, type) else (owner,)
    for one in classes:
        if name in vars(one):
            member = vars(one)[name]
            is_bound = isinstance(member, (staticmethod, classmethod))
            return member.__func__ if is_bound else member
    return None


def _list_called(function: FunctionType) -> list[tuple[str, ...]]:
    """The dotted names that a function's own code calls; none where it has something called after
    the commit, since which call that is may not be in its text.
    """
    text = _read_text(function)
    if _LATER in text:
        return []
    definition = ast.parse(text).body
    own = {*_list_own_names(function.__code__)} - {"self"}
    called = []
    for node in itertools.chain.from_iterable(map(_walk_own, _list_statements(definition))):
        name = _read_dotted(node)
        if name and name[0] not in own:
            called.append(name)
    return called


def _read_text(function: FunctionType) -> str:
    """The text of a function's definition; "" where it has none of its own, as a lambda."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        ast.parse(text)
    except (OSError, SyntaxError, TypeError):
        return ""
    return text


def _list_statements(definition: list[ast.stmt]) -> list[ast.stmt]:
    if definition and isinstance(definition[0], ast.FunctionDef):
        return definition[0].body
    return []


def _list_own_names(code: CodeType) -> Iterator[str]:
    """The names that stand for something of the function's own, or of one within or around it."""
    yield from (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_own_names(constant)


def _walk_own(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs as part of a function, without what it only defines."""
    if isinstance(node, (*_LATER_CODE, ast.GeneratorExp)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _walk_own(child)


def _read_dotted(node: ast.AST) -> tuple[str, ...]:
    """("till", "place") of the call `till.place(7)`; none of another node."""
    names: list[str] = []
    value = getattr(node, "func", None)
    while isinstance(value, ast.Attribute):
        names.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name):
        return ()
    return (value.id, *reversed(names))
