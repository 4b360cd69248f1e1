"""Declared effects: a stand-in or the real call, with a boundary before and after it."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from .answers import answer_in_place, find_unavailable, make_answer
from .names import NotThere, find_object
from .receiver import NEVER_ANSWERS, Receiver
from .recorder import Recorder
from .swap import replace_everywhere, swap_code
from .values import look_up, read_held, shorten_text, show_value

# Characters of a call's arguments by which two calls are told apart.
_COMPARED = 4_000


class Effect:
    """One declared effect as the spec has it: name, call, key_arg, mode, returns."""

    def __init__(self, recorder: Recorder, spec: dict[str, Any]) -> None:
        self.recorder, self.spec = recorder, spec
        self.name: str = spec["name"]
        self.original: Callable[..., Any] = lambda *args, **kwargs: None
        self.signature: inspect.Signature | None = None
        self.only: Any = None  # the object whose method it is; None: any
        self.is_awaited = False

    def install(self) -> str | None:
        """Hooks the call. What a person should know, else None. Raises NotThere or an import's own
        error.
        """
        owner, name, value = find_object(self.spec["call"])
        if inspect.isclass(value):
            return f"{self.spec['call']} is a class: name the method that changes the world"
        if not callable(value):
            raise NotThere(f"{self.spec['call']} is {type(value).__name__}, which cannot be called")
        function = _python_function(value)
        self.signature = _read_signature(value)
        missing = self.unknown_key()
        if missing:
            raise NotThere(missing)
        if function is None:
            self.is_awaited = inspect.iscoroutinefunction(value)
            if self.is_awaited:
                hook = self.await_hook
            else:
                hook = self.call_hook
            self.original = replace_everywhere(
                owner, name, functools.wraps(value)(lambda *a, **k: hook(*a, **k))
            )
            return None
        if inspect.ismethod(value) and not inspect.isclass(value.__self__):
            self.only = value.__self__
        if isinstance(value, types.FunctionType):
            self.signature = _read_signature(function)
        self.is_awaited = inspect.iscoroutinefunction(function)
        self.original = swap_code(function, self.await_hook if self.is_awaited else self.call_hook)
        return None

    def unknown_key(self) -> str | None:
        """What is wrong with `key_arg`: the call must have a parameter of that name, or take
        any.
        """
        key = self.spec.get("key_arg")
        if key is None or self.signature is None:
            return None
        taken = self.signature.parameters
        argument = key.partition(".")[0]
        if argument in taken or any(p.kind is p.VAR_KEYWORD for p in taken.values()):
            return None
        return f"key_arg: {self.spec['call']} has no parameter {key}; it has {', '.join(taken) or 'none'}"

    def cannot_raise(self, errors: list[str], root: str) -> list[str]:
        """The repository's own exceptions that the adapter's module has no name for: they come from
        elsewhere.
        """
        names = getattr(self.original, "__globals__", None)
        if names is None:
            return []
        found = []
        for path in errors:
            kind = find_object(path)[2]
            home = getattr(sys.modules.get(getattr(kind, "__module__", "")), "__file__", None) or ""
            if (
                home.startswith(root)
                and "/site-packages/" not in home
                and not _has_name_for(names, kind)
            ):
                found.append(path)
        return found

    def is_mine(self, args: tuple[Any, ...]) -> bool:
        if not self.recorder.is_delivery or self.recorder.effect_depth:
            return False
        return self.only is None or (bool(args) and args[0] is self.only)

    def call_hook(self, *args: Any, **kwargs: Any) -> Any:
        """The hook of a plain function."""
        if not self.is_mine(args):
            return self.original(*args, **kwargs)
        try:
            name, fields = self.begin_call(args, kwargs)
            self.recorder.let_thread_go_on(f"before:{name}")
            receiver = self.find_receiver(name)
            if receiver is not None:
                result = self.call_in_vain(receiver, args, kwargs)
                if self.was_in_vain(receiver):
                    return result
            if self.spec.get("mode") != "pass_through":
                answer = self.answer_call(name, fields, args, kwargs)
                self.recorder.let_thread_go_on(f"after:{name}")
                return answer
            with self.recorder.inside_effect(self.name):
                result = self.original(*args, **kwargs)
            self.end_call(name, fields)
            return result
        except Exception as error:
            return self.raise_as_call(error, args, kwargs)

    async def await_hook(self, *args: Any, **kwargs: Any) -> Any:
        """The hook of a coroutine function."""
        if not self.is_mine(args):
            return await self.original(*args, **kwargs)
        try:
            name, fields = self.begin_call(args, kwargs)
            await self.recorder.let_other_go_on(f"before:{name}")
            receiver = self.find_receiver(name)
            if receiver is not None:
                result = await self.await_in_vain(receiver, args, kwargs)
                if self.was_in_vain(receiver):
                    return result
            if self.spec.get("mode") != "pass_through":
                answer = self.answer_call(name, fields, args, kwargs)
                await self.recorder.let_other_go_on(f"after:{name}")
                return answer
            with self.recorder.inside_effect(self.name):
                result = await self.original(*args, **kwargs)
            self.end_call(name, fields)
            return result
        except Exception as error:
            return self.raise_as_call(error, args, kwargs)

    def find_receiver(self, name: str) -> Receiver | None:
        """Who the real call is made to, where a fault says so."""
        fault = self.recorder.receivers.get(f"before:{name}")
        if fault is None:
            return None
        status, reply = int(fault.get("status", 0)), str(fault.get("reply", ""))
        receiver = Receiver(self.recorder, name, fault["do"], status, reply)
        receiver.is_heard = bool(fault.get("listen"))
        return receiver

    def call_in_vain(
        self, receiver: Receiver, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Makes the real call. Raises what the receiver's doing becomes there; returns what the
        call makes of it, or None where it cannot be made in a proof.
        """
        try:
            with receiver:
                return self.original(*args, **kwargs)
        except Exception as error:
            self.tell_receiver(receiver, error)
            if receiver.is_cause_of(error):
                raise
            receiver.was_reached = False
        return None

    async def await_in_vain(
        self, receiver: Receiver, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """As `call_in_vain`."""
        try:
            with receiver:
                return await self.original(*args, **kwargs)
        except Exception as error:
            self.tell_receiver(receiver, error)
            if receiver.is_cause_of(error):
                raise
            receiver.was_reached = False
        return None

    def tell_receiver(self, receiver: Receiver, error: Exception | None) -> None:
        """That the call came to a receiver which did it no good, and what the adapter
        made of it.
        """
        if receiver.way in NEVER_ANSWERS or not receiver.was_reached:
            return
        made = None
        if error:
            made = f"{type(error).__module__}:{type(error).__qualname__}"
        self.recorder.emit("away", name=receiver.name, way=receiver.way, error=made)
        if receiver.is_heard:
            self.recorder.emit("heard", name=receiver.name, sent=receiver.heard)

    def was_in_vain(self, receiver: Receiver) -> bool:
        """Whether the call came to its receiver, and returned as if nothing were the matter."""
        if receiver.way in NEVER_ANSWERS or not receiver.was_reached:
            return False
        self.tell_receiver(receiver, None)
        return True

    def raise_as_call(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Raises an error as the real call would. Where that would give an answer in place of it,
        so does the stand-in.
        """
        if getattr(error, "__skillrun__", False):
            answer = answer_in_place(self.original, error, self.bind_arguments(args, kwargs))
            if answer is not None:
                return answer
        raise error

    def begin_call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        given = self.bind_arguments(args, kwargs)
        name = self.recorder.next_name(self.name)
        key_arg = self.spec.get("key_arg")
        about = leave_out(given, key_arg)
        fields: dict[str, Any] = {
            "effect": self.name,
            "args": shorten_text(self._say_arguments(given)),
            "subject": shorten_text(self._say_arguments(about), _COMPARED),
            "place": self.recorder.find_place(),
            "plain": _show_plain(about),
        }
        if key_arg:
            key = read_key(given, key_arg)
            if key is not None:
                fields["key"] = self.recorder.without_scratch(show_value(key))
            else:
                fields["key"] = None
        unavailable = find_unavailable(self.original)
        http: dict[str, Any] = {}
        if unavailable is not None:
            http = {"http": True}
        self.recorder.meet_boundary("before", name, unavailable, kind="effect", **http, **fields)
        return name, fields

    def _say_arguments(self, given: dict[str, Any]) -> str:
        """The arguments as `say_arguments` has them, alike in every workplace."""
        return self.recorder.without_scratch(say_arguments(given))

    def bind_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Argument name -> value, without self. Raises TypeError as the real call would."""
        if self.signature is None:
            return {**{str(number): value for number, value in enumerate(args)}, **kwargs}
        if self.only is None:
            bound = self.signature.bind(*args, **kwargs)
        else:
            bound = self.signature.bind(*args[1:], **kwargs)
        bound.apply_defaults()
        given: dict[str, Any] = {}
        for key, value in bound.arguments.items():
            if self.signature.parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
                given.update(value)
            elif key not in ("self", "cls"):
                given[key] = value
        if not any(map(_says_what, given.values())):
            given.update(self.describe_bound(args))
        return given

    def describe_bound(self, args: tuple[Any, ...]) -> dict[str, Any]:
        """What the object holds whose method is called: `EmailMessage(to=...).send()` says all
        there, and nothing in its arguments.
        """
        names = []
        if self.signature is not None:
            names = list(self.signature.parameters)
        if not args or names[:1] != ["self"]:
            return {}
        return read_held(args[0])

    def answer_call(
        self, name: str, fields: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self.end_call(name, fields)
        return make_answer(
            self.original, self.spec.get("returns"), self.bind_arguments(args, kwargs)
        )

    def end_call(self, name: str, fields: dict[str, Any]) -> None:
        self.recorder.emit("performed", name=name, **fields)
        about = {field: fields.get(field) for field in ("effect", "subject", "key", "place")}
        self.recorder.meet_boundary("after", name, kind="effect", **about)


def say_arguments(given: dict[str, Any]) -> str:
    """Each argument with its value, as a story shows them."""
    return ", ".join(f"{key}={show_value(value)}" for key, value in given.items())


def read_key(given: dict[str, Any], path: str) -> Any:
    """The argument of that name; of `headers.Idempotency-Key` what a mapping or an object holds."""
    if path in given:
        return given[path]
    name, _, within = path.partition(".")
    held = given.get(name)
    if not within or held is None:
        return None
    if isinstance(held, dict):
        return held.get(within)
    return getattr(held, within, None)


def leave_out(given: dict[str, Any], path: Any) -> dict[str, Any]:
    """The arguments without the key, as far as it can be taken out of them."""
    about = dict(given)
    name, _, within = str(path or "").partition(".")
    if path in about or not within:
        about.pop(path, None)
    elif isinstance(about.get(name), dict):
        about[name] = {key: value for key, value in about[name].items() if key != within}
    return about


def _says_what(value: Any) -> bool:
    """A flag, or nothing, says how something is to be done."""
    return value is not None and not isinstance(value, bool)


def _show_plain(about: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for key, value in about.items():
        if isinstance(value, int):
            shown[key] = show_value(value)
        elif _is_plain(value):
            shown[key] = str(value)
    return shown


def _is_plain(value: Any) -> bool:
    """An amount or a flag; a float may be a time."""
    return isinstance(value, int) or type(value).__name__ == "Decimal"


def _has_name_for(names: dict[str, Any], kind: Any) -> bool:
    """Whether a module's globals have a class, itself or as a member of a module or class in
    them.
    """
    word = getattr(kind, "__name__", "")
    for value in list(names.values()):
        if value is kind or (look_up(value, "__dict__") or {}).get(word) is kind:
            return True
    return False


def _python_function(value: Any) -> types.FunctionType | None:
    """The function object behind a function, a bound method or a class method; None for anything
    else.
    """
    function = getattr(value, "__func__", value)
    if isinstance(function, types.FunctionType):
        return function
    return None


def _read_signature(value: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):
        return None
