"""Puts a hook in front of a Python function for everybody who holds it, by giving the function
object other code.

`from x import f`, a dict of handlers, a decorator's closure, a default argument: all of them hold
the same function
object, so no alias has to be searched for. What is no Python function is replaced at its owner and
in every module.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

Hook = TypeVar("Hook", bound=Callable[..., Any])

# A constant that nobody writes by chance: in the compiled code the hook takes its place.
_MARK = 0.7310585786300049
_TRAMPOLINES: set[int] = set()  # ids of code
_KEPT: list[types.CodeType] = []
# What the modules of the probe and of the drivers are called here.
_OURS = __name__.partition(".")[0] + "."


def is_trampoline(code: types.CodeType) -> bool:
    """Whether a code object was made here."""
    return id(code) in _TRAMPOLINES


def swap_code(function: Callable[..., Any], hook: Callable[..., Any]) -> Callable[..., Any]:
    """Calls of `function` reach `hook` from now on; the function as it was.

    A coroutine function stays one: its hook is awaited. Raises TypeError for what is no Python
    function.
    """
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{function!r} is no Python function")
    before = _copy_function(function)
    code = _make_trampoline(
        len(function.__code__.co_freevars), inspect.iscoroutinefunction(function)
    )
    consts = list(code.co_consts)
    consts[consts.index(_MARK)] = hook
    signature = _read_signature(function)
    function.__code__ = code.replace(co_consts=tuple(consts), co_name=function.__name__)
    # Kept, so that no other object ever has its id.
    _KEPT.append(function.__code__)
    _TRAMPOLINES.add(id(function.__code__))
    # The hook is handed what the caller gave, and fills in nothing.
    function.__defaults__ = None
    function.__kwdefaults__ = None
    if signature is not None and not hasattr(function, "__signature__"):
        function.__dict__["__signature__"] = signature
    return before


def replace_calls(function: Callable[..., Any]) -> Callable[[Hook], Hook]:
    """Decorates what calls of `function` reach from now on; it is given that function as it was
    before all else.
    """

    def decorate(hook: Hook) -> Hook:
        def call(*args: Any, **kwargs: Any) -> Any:
            return hook(before, *args, **kwargs)

        before = swap_code(function, call)
        return hook

    return decorate


def _read_signature(function: types.FunctionType) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _copy_function(function: types.FunctionType) -> types.FunctionType:
    before = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    functools.update_wrapper(before, function)
    # It would lead `inspect.unwrap` back to the hook.
    vars(before).pop("__wrapped__", None)
    before.__kwdefaults__ = function.__kwdefaults__
    return before


def _make_trampoline(free: int, is_async: bool) -> types.CodeType:
    """Code with as many free variables as the original has: a function object accepts no other."""
    names = [f"free_{number}" for number in range(free)]
    if is_async:
        kind, call = ("async def", "await ")
    else:
        kind, call = ("def", "")
    source = "def make():\n" + "".join(f" {name} = None\n" for name in names)
    source += f" {kind} hooked(*args, **kwargs):\n"
    source += "".join(f"  if 0: {name}\n" for name in names)
    source += f"  return {call}({_MARK!r})(*args, **kwargs)\n return hooked\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = compile(source, "<skillrun>", "exec")
    names_space: dict[str, Any] = {}
    exec(made, names_space)
    hooked: types.FunctionType = names_space["make"]()
    return hooked.__code__


def replace_everywhere(owner: Any, name: str, hook: Callable[..., Any]) -> Any:
    """For what is no Python function: set it at its owner and in every module that has it under any
    name.
    """
    before = getattr(owner, name)
    setattr(owner, name, hook)
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None)
        is_ours = getattr(module, "__name__", "").startswith(_OURS)
        if not isinstance(held, dict) or is_ours:
            continue
        for key in [key for key, value in held.items() if value is before]:
            held[key] = hook
    return before
