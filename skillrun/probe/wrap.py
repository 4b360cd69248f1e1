"""Puts a context manager around a method or a function, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .swap import swap_code

Context = Callable[..., AbstractContextManager[Any]]


def wrap_calls(owner: Any, name: str, context: Context) -> None:
    """Every call of `owner.name` runs inside `context(*args, **kwargs)`; nothing where there is no
    such member.

    A Python function is changed itself, for all who hold it; a generator function is replaced at
    its owner.
    """
    value = vars(owner).get(name)
    if isinstance(value, (classmethod, staticmethod)):
        function = value.__func__
    else:
        function = value
    if not isinstance(function, types.FunctionType):
        return
    if inspect.isgeneratorfunction(function):
        setattr(owner, name, _wrap_generator(function, context))
    elif inspect.isasyncgenfunction(function):
        setattr(owner, name, _wrap_async_generator(function, context))
    elif inspect.iscoroutinefunction(function):
        _wrap_coroutine(function, context)
    else:
        _wrap_function(function, context)


def skip_calls(owner: Any, name: str) -> None:
    """A call of `owner.name` does nothing."""
    function = vars(owner)[name]
    if not inspect.iscoroutinefunction(function):
        swap_code(function, lambda *_, **__: None)
        return

    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    swap_code(function, nothing)


def tell_after(function: Callable[..., Any], tell: Callable[..., None]) -> None:
    """Once a call of a coroutine function is over, `tell` is called with the same arguments."""

    async def hook(*args: Any, **kwargs: Any) -> Any:
        result = await before(*args, **kwargs)
        tell(*args, **kwargs)
        return result

    before = swap_code(function, hook)


def _wrap_function(function: types.FunctionType, context: Context) -> None:
    def hook(*args: Any, **kwargs: Any) -> Any:
        with context(*args, **kwargs):
            return before(*args, **kwargs)

    before = swap_code(function, hook)


def _wrap_coroutine(function: types.FunctionType, context: Context) -> None:
    async def hook(*args: Any, **kwargs: Any) -> Any:
        with context(*args, **kwargs):
            return await before(*args, **kwargs)

    before = swap_code(function, hook)


def _wrap_generator(function: types.FunctionType, context: Context) -> Any:
    @functools.wraps(function)
    def hook(*args: Any, **kwargs: Any) -> Any:
        with context(*args, **kwargs):
            return (yield from function(*args, **kwargs))

    return hook


def _wrap_async_generator(function: types.FunctionType, context: Context) -> Any:
    @functools.wraps(function)
    async def hook(*args: Any, **kwargs: Any) -> Any:
        with context(*args, **kwargs):
            async for item in function(*args, **kwargs):
                yield item

    return hook
