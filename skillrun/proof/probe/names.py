"""Finds what an import path "module:object.attribute" names."""

from __future__ import annotations

import builtins
import importlib
from typing import Any


class NotThere(Exception):
    """The import path names nothing; the words are for a person."""


def find(path: str) -> tuple[Any, str, Any]:
    """(owner, attribute, value). Raises NotThere, or whatever the import raises."""
    module_name, _, attributes = path.partition(":")
    if not attributes:
        if hasattr(builtins, module_name):
            return builtins, module_name, getattr(builtins, module_name)
        module_name, _, attributes = path.rpartition(".")
    owner: Any = importlib.import_module(module_name)
    *parents, last = attributes.split(".")
    for name in parents:
        owner = _attribute(owner, name, path)
    return owner, last, _attribute(owner, last, path)


def _attribute(owner: Any, name: str, path: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise NotThere(f"{path}: there is no {name} in {getattr(owner, '__name__', type(owner).__name__)}") from None


def make_error(path: str, args: list[Any]) -> BaseException:
    """An exception of the named class. A class that wants more arguments than were given is said to."""
    _, _, kind = find(path)
    try:
        made = kind(*args)
    except TypeError:
        if args:
            raise
        made = kind.__new__(kind, "injected by skillrun")
        made.args = ("injected by skillrun",)
    if not args and not made.args:
        made.args = ("injected by skillrun",)
    if not isinstance(made, BaseException):
        raise NotThere(f"{path} is no exception")
    return made
