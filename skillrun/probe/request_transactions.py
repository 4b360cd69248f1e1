"""The transaction that Django opens around each web request where its settings say ATOMIC_REQUESTS:
the application's own call then runs within it, if a view makes that call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .names import find_object

# From a view to the call: a service, its helper, and what that calls.
_DEEPEST = 4


def find_request_databases(path: str | None, root: str) -> tuple[str, ...]:
    """The databases that have a transaction open while a view makes the call that `path` names;
    none where no view is seen to make it. `root`: of the repository.
    """
    if path is None or "django.db" not in sys.modules:
        return ()
    try:
        connections = importlib.import_module("django.db").connections
        atomic = [name for name in connections if connections.settings[name]["ATOMIC_REQUESTS"]]
        if not atomic:
            return ()
        resolver = importlib.import_module("django.urls").get_resolver()
        views = list(_list_views(resolver))
    # Settings that are none, or a web application that cannot be imported beside its worker.
    except Exception:
        return ()
    call = find_object(path)[2]
    found: dict[str, None] = {}  # as an ordered set
    for view in views:
        left_out = getattr(view, "_non_atomic_requests", ())
        databases = [name for name in atomic if name not in left_out]
        if databases and _Walk(call, root).leads_to_call(view):
            found.update(dict.fromkeys(databases))
    return tuple(found)


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


def _list_views(resolver: Any) -> Iterator[Any]:
    for pattern in resolver.url_patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _list_views(pattern)
        else:
            yield pattern.callback


class _Walk:
    """From a view along the names that its code has, through the repository's own functions."""

    def __init__(self, call: Any, root: str) -> None:
        self.call, self.root = inspect.unwrap(call), root
        self.seen: set[CodeType] = set()

    def leads_to_call(self, view: Any) -> bool:
        """Whether a view, a function or a class behind one, comes to the call."""
        owner = getattr(view, "view_class", None) or getattr(view, "cls", None)
        if owner is None:
            return self._comes_to_call(view, _DEEPEST)
        methods = [value for _, value in inspect.getmembers(owner, inspect.isfunction)]
        return any(self._comes_to_call(method, _DEEPEST) for method in methods)

    def _comes_to_call(self, value: Any, deepest: int) -> bool:
        function = inspect.unwrap(value) if callable(value) else value
        if function is self.call:
            return True
        if deepest == 0 or not isinstance(function, FunctionType):
            return False
        code = function.__code__
        if code in self.seen or not code.co_filename.startswith(self.root):
            return False
        self.seen.add(code)
        named = _list_named(code, function.__globals__)
        return any(self._comes_to_call(one, deepest - 1) for one in named)


def _list_named(code: CodeType, scope: dict[str, Any]) -> Iterator[Any]:
    """What the names of a function's code stand for: its module's, and the members of the modules
    and classes among them. Functions within it count as it.
    """
    names = list(_list_names(code))
    for name in names:
        value = scope.get(name, sys.modules.get(name))
        yield value
        if isinstance(value, (ModuleType, type)):
            yield from map(functools.partial(_get_member, value), names)


def _list_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_names(constant)


def _get_member(owner: Any, name: str) -> Any:
    # Not `getattr`: a module may make what it is asked for.
    return vars(owner).get(name)
