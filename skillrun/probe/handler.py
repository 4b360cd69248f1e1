"""The handler itself: reports that it was entered, and how it ended."""

from __future__ import annotations

import inspect
import types
from typing import Any

from .recorder import Recorder
from .swap import swap_code
from .values import shorten_text


class HandlerHook:
    """In front of the handler's own function, below everything that the library wraps around it."""

    def __init__(
        self, recorder: Recorder, control: tuple[str, ...], named: dict[type, str] | None = None
    ) -> None:
        self.recorder, self.control = recorder, set(control)
        # Class -> the name that the spec has for it: packages offer a class under another path than
        # that of the module which defines it (requests:Timeout, requests.exceptions:Timeout).
        self.named = named or {}
        self.before: Any = None

    def install(self, function: types.FunctionType) -> None:
        """Once, in the zygote."""
        if inspect.iscoroutinefunction(function):
            self.before = swap_code(function, self.await_hook)
        else:
            self.before = swap_code(function, self.call_hook)

    def call_hook(self, *args: Any, **kwargs: Any) -> Any:
        if not self.recorder.is_delivery or self.recorder.depth:
            return self.before(*args, **kwargs)
        self.report_entry()
        try:
            result = self.before(*args, **kwargs)
        except BaseException as error:
            self.report_error(error)
            raise
        finally:
            self.recorder.depth -= 1
        self.recorder.emit("returned")
        return result

    async def await_hook(self, *args: Any, **kwargs: Any) -> Any:
        if not self.recorder.is_delivery or self.recorder.depth:
            return await self.before(*args, **kwargs)
        self.report_entry()
        try:
            result = await self.before(*args, **kwargs)
        except BaseException as error:
            self.report_error(error)
            raise
        finally:
            self.recorder.depth -= 1
        self.recorder.emit("returned")
        return result

    def report_entry(self) -> None:
        self.recorder.depth += 1
        self.recorder.emit("entered")

    def report_error(self, error: BaseException) -> None:
        """Reports an exception by its class and all of its base classes. A script that exits with 0
        has returned.
        """
        if isinstance(error, SystemExit) and error.code in (None, 0):
            self.recorder.emit("returned")
            return
        names = self.list_names(error)
        self.recorder.emit(
            "raised",
            error=names[0],
            bases=names,
            text=shorten_text(str(error)),
            injected=bool(getattr(error, "__skillrun__", False)),
            control=bool(self.control & {name.replace(":", ".") for name in names}),
            cause=_describe_cause(error),
            chain=self.list_chain(error),
            place=_last_place(error, self.recorder.root),
        )

    def list_names(self, error: BaseException) -> list[str]:
        """Its class and all base classes, the nearest first; after each the spec's name of it."""
        names: list[str] = []
        for kind in type(error).__mro__:
            names.append(f"{kind.__module__}:{kind.__qualname__}")
            if kind in self.named:
                names.append(self.named[kind])
        return names

    def list_chain(self, error: BaseException) -> list[str]:
        """The classes, with their bases, of what an exception was raised from, or while it was
        handled.
        """
        names: list[str] = []
        seen = {id(error)}
        below = _find_cause(error)
        while below is not None and id(below) not in seen:
            seen.add(id(below))
            names += self.list_names(below)
            below = _find_cause(below)
        return names


def _describe_cause(error: BaseException) -> list[str] | None:
    """[class, words] of what an exception stands for: a retry's own, else what it was raised
    from.
    """
    cause = _find_cause(error)
    if cause is None:
        return None
    return [f"{type(cause).__module__}:{type(cause).__qualname__}", shorten_text(str(cause))]


def _find_cause(error: BaseException) -> BaseException | None:
    held = getattr(error, "exc", None)
    if isinstance(held, BaseException):
        return held
    return error.__cause__ or error.__context__


def _last_place(error: BaseException, root: str) -> list[Any] | None:
    """Where in the repository it came from."""
    trace, place = error.__traceback__, None
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(root) and "/site-packages/" not in path:
            place = [path[len(root) :], trace.tb_lineno]
        trace = trace.tb_next
    return place
