"""The driver of plain callables."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

from .awaiting import finished
from .driver import Driver, Probe
from .facts import Facts
from .imports import when_imported
from .names import NotThere, find, find_beside_django
from .starting import Ways
from .swap import swap


class PlainDriver(Driver):
    """Plain callables: a cron script, a poller, an APScheduler function. The next tick is the only
    retry.
    """

    LOGGERS = ("traceback",)
    WAYS = Ways(
        entries=(
            "apscheduler.schedulers.blocking:BlockingScheduler.start",
            "apscheduler.schedulers.background:BackgroundScheduler.start",
            "apscheduler.schedulers.asyncio:AsyncIOScheduler.start",
        )
    )

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.target: Callable[..., Any] = lambda: None
        self.trigger: dict[str, Any] = probe.settings.get("trigger") or {}

    def boot(self, handler: str) -> Facts:
        owner, _, value = find_beside_django(handler)
        self.target = _bound(owner, value)
        if not callable(self.target):
            raise NotThere(f"{handler} cannot be called")
        self.takes = _takes(self.target, self.probe.settings)
        # A script reads it.
        sys.argv[:] = [getattr(inspect.getmodule(self.function()), "__file__", None) or handler]
        when_imported("apscheduler.schedulers.base", self._capture)
        return Facts(
            library="a plain callable",
            redelivery_s=self._again_s(),
            ticks=not self.takes,
            is_called=self.takes,
            bounded_kills=False,
            on_kill=self._on_kill(),
            owner=_find_owner(value, self.probe.settings["owners"]),
        )

    def _again_s(self) -> float:
        return float(self.trigger.get("every") or 60.0)

    def _on_kill(self) -> str:
        if self.takes:
            return "no library gives it back: whoever called it is taken to call it again"
        if self.trigger.get("type") == "cron":
            return "no library gives it back: it is taken to be started again by hand, or by the next tick"
        return "the next tick runs it again; its state in the database decides"

    def function(self) -> Any:
        found: Any = self.target
        while isinstance(found, functools.partial):
            found = found.func
        found = inspect.unwrap(getattr(found, "__func__", found))
        if hasattr(found, "__code__"):
            return found
        return type(found).__call__

    def _capture(self, module: Any) -> None:
        """APScheduler's `add_job` publishes; nothing is scheduled."""

        def add_job(
            scheduler: Any,
            func: Any,
            trigger: Any = None,
            args: Any = None,
            kwargs: Any = None,
            *more: Any,
            **options: Any,
        ) -> Any:
            if not self.probe.recorder.active:
                return before(scheduler, func, trigger, args, kwargs, *more, **options)
            to_handler, label = self._is_handler(func)
            message = {
                "args": list(args or ()),
                "kwargs": dict(kwargs or {}),
                "arguments": self.probe.bound(self.function(), args or (), kwargs or {}),
            }
            message = json.loads(json.dumps(message, default=repr))
            delay = _seconds_until(options.get("run_date", getattr(trigger, "run_date", None)))
            return self.probe.publish(
                lambda: None, message, to_handler=to_handler, delay=delay, label=label
            )

        before = swap(module.BaseScheduler.add_job, add_job)

    def _is_handler(self, func: Any) -> tuple[bool, str]:
        """(is it the handler, its name). `func` is a callable or "module:function"."""
        with contextlib.suppress(Exception):
            if isinstance(func, str):
                func = find(func)[2]
        if callable(func):
            found = inspect.unwrap(getattr(func, "__func__", func))
        else:
            found = func
        return found is self.function(), str(getattr(found, "__qualname__", found))

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"payload": json.loads(json.dumps(payload))}
        if self.takes:
            args, kwargs = self.probe.arguments(message["payload"], self.function())
            message["arguments"] = self.probe.bound(self.function(), args, kwargs)
        self.probe.publish(lambda: None, message, to_handler=True, delay=0.0, label="tick")

    def deliver(self, message: dict[str, Any]) -> None:
        try:
            args, kwargs = self._given(message)
            finished(self.target(*args, **kwargs))
        except SystemExit as error:
            self.probe.settle("acked", why="raised" if error.code not in (None, 0) else "")
        except Exception as error:
            self._tell(error)
            self.probe.settle("acked", why="raised")
        else:
            self.probe.settle("acked")

    def _given(self, message: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if "payload" not in message:
            return message["args"], message["kwargs"]
        if self.takes:
            return self.probe.arguments(message["payload"], self.function())
        return ([], {})

    def _tell(self, error: Exception) -> None:
        """What nobody catches is printed by the interpreter, or logged by the scheduler, with its
        traceback.
        """
        text = f"{type(error).__name__}: {error}"
        self.probe.recorder.emit(
            "log",
            logger="traceback",
            level="ERROR",
            template=None,
            text=text,
            extra={},
            error=text,
            place=None,
        )

    def died(self, message: dict[str, Any], who: str) -> None:
        self.probe.settle("requeued", delay=self._again_s(), why="the next tick")


def _find_owner(value: Any, libraries: list[str]) -> str | None:
    """Which of the libraries the handler is an object of: then its driver should run it."""
    roots = []
    for kind in type(value).__mro__:
        if isinstance(kind.__module__, str):
            roots.append(kind.__module__.partition(".")[0])
    return next((root for root in roots if root in libraries), None)


def _bound(owner: Any, value: Any) -> Any:
    """A method is called on an object of its class."""
    if (
        inspect.isclass(owner)
        and inspect.isfunction(value)
        and "self" in inspect.signature(value).parameters
    ):
        return getattr(owner(), value.__name__)
    return value


def _takes(target: Callable[..., Any], settings: dict[str, Any]) -> bool:
    """Whether the payload is an argument. `main(argv=None)` and `poll(limit=50)` find their work by
    themselves.
    """
    if settings.get("message"):
        return bool(inspect.signature(target).parameters)
    fields = settings.get("fields") or []
    return any(
        p.name in fields
        or (p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
        for p in inspect.signature(target).parameters.values()
    )


def _seconds_until(when: Any) -> float:
    """From the process's own clock to a run date; 0.0 where there is none."""
    import datetime

    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(when)
    if not isinstance(when, datetime.datetime):
        return 0.0
    return max(0.0, (when - datetime.datetime.now(when.tzinfo)).total_seconds())
