"""The driver of plain callables."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

from .awaiting import finish_call
from .call_sites import goes_on
from .driver import Driver, Probe
from .facts import Facts
from .imports import when_imported
from .names import NotThere, find_beside_django, find_object
from .starting import Ways
from .swap import swap_code

# Between two ticks of a clock that the spec does not describe.
_USUAL_PERIOD_S = 60.0


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
        self.target = _bind_method(owner, value)
        if not callable(self.target):
            raise NotThere(f"{handler} cannot be called")
        self.takes_payload = _takes_payload(self.target, self.probe.settings)
        # A script that parses its arguments must not find those of the probe.
        script = getattr(inspect.getmodule(self.function()), "__file__", None)
        sys.argv[:] = [script or handler]
        when_imported("apscheduler.schedulers.base", self._capture_add_job)
        return Facts(
            library="a plain callable",
            redelivery_s=self._find_period_s(),
            ticks=not self.takes_payload,
            is_called=self.takes_payload,
            bounded_kills=False,
            on_kill=self._on_kill(),
            owner=_find_owner(value, self.probe.settings["owners"]),
        )

    def _find_period_s(self) -> float:
        """Seconds from one tick to the next; a minute where the spec does not say."""
        return float(self.trigger.get("every") or _USUAL_PERIOD_S)

    def _on_kill(self) -> str:
        """What a report says of a process that dies at the job."""
        if self.takes_payload:
            return "no library gives it back: whoever called it is taken to call it again"
        if self.trigger.get("type") == "cron":
            return (
                "no library gives it back: it is taken to be started again by hand, or by the next"
                " tick"
            )
        return "the next tick runs it again; its state in the database decides"

    def function(self) -> Any:
        found: Any = self.target
        while isinstance(found, functools.partial):
            found = found.func
        found = inspect.unwrap(getattr(found, "__func__", found))
        if hasattr(found, "__code__"):
            return found
        return type(found).__call__  # an object that can be called

    def watch_calls(self) -> None:
        """Makes a publish of a call of the handler by the application's own sweep, such as a poll
        that calls it for each row: what it does is a delivery, with the faults of one.
        """
        target = getattr(self.target, "__func__", self.target)
        if not self.takes_payload or not inspect.isfunction(target):
            return

        def call(*args: Any, **kwargs: Any) -> Any:
            message = self._read_call(args, kwargs)
            if message is None:
                return before(*args, **kwargs)
            self._publish_call(message)
            if inspect.iscoroutinefunction(self.function()):
                return _do_nothing()
            return None

        async def call_later(*args: Any, **kwargs: Any) -> Any:
            message = self._read_call(args, kwargs)
            if message is None:
                return await before(*args, **kwargs)
            self._publish_call(message)
            return None

        before = swap_code(target, call_later if inspect.iscoroutinefunction(target) else call)

    def _read_call(self, args: Any, kwargs: Any) -> dict[str, Any] | None:
        """The message that a call of the handler stands for; None where it is none: a delivery, a
        call with what no message could carry, or one whose caller goes on with what came of it.
        """
        recorder = self.probe.recorder
        if not self._is_called_by_sweep():
            return None
        if inspect.ismethod(self.target):
            args = args[1:]
        given = {"args": list(args), "kwargs": kwargs}
        if not _is_plain(given) or goes_on(recorder.find_frame()):
            recorder.emit("called-on", place=recorder.find_place())
            return None
        arguments = self.probe.bind_arguments(self.target, args, kwargs)
        return {**given, "arguments": arguments}

    def _is_called_by_sweep(self) -> bool:
        recorder = self.probe.recorder
        return recorder.is_delivery and recorder.is_caller and recorder.depth == 0

    def _publish_call(self, message: dict[str, Any]) -> None:
        self.probe.publish(lambda: None, message, to_handler=True, delay=0.0, label="call")

    def _capture_add_job(self, module: Any) -> None:
        """Makes a publish of APScheduler's `add_job`: nothing is scheduled."""

        def add_job(
            scheduler: Any,
            func: Any,
            trigger: Any = None,
            args: Any = None,
            kwargs: Any = None,
            *more: Any,
            **options: Any,
        ) -> Any:
            if not self.probe.recorder.is_delivery:
                return before(scheduler, func, trigger, args, kwargs, *more, **options)
            to_handler, label = self._is_handler(func)
            message = {
                "args": list(args or ()),
                "kwargs": dict(kwargs or {}),
                "arguments": self.probe.bind_arguments(self.function(), args or (), kwargs or {}),
            }
            message = json.loads(json.dumps(message, default=repr))
            delay = _seconds_until(options.get("run_date", getattr(trigger, "run_date", None)))
            return self.probe.publish(
                lambda: None, message, to_handler=to_handler, delay=delay, label=label
            )

        before = swap_code(module.BaseScheduler.add_job, add_job)

    def _is_handler(self, func: Any) -> tuple[bool, str]:
        """(is it the handler, its name). `func` is a callable or "module:function"."""
        with contextlib.suppress(Exception):
            if isinstance(func, str):
                func = find_object(func)[2]
        if callable(func):
            found = inspect.unwrap(getattr(func, "__func__", func))
        else:
            found = func
        return found is self.function(), str(getattr(found, "__qualname__", found))

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"payload": json.loads(json.dumps(payload))}
        if self.takes_payload:
            args, kwargs = self.probe.make_arguments(message["payload"], self.function())
            message["arguments"] = self.probe.bind_arguments(self.function(), args, kwargs)
        self.probe.publish(lambda: None, message, to_handler=True, delay=0.0, label="tick")

    def deliver(self, message: dict[str, Any]) -> None:
        try:
            args, kwargs = self._read_arguments(message)
            finish_call(self.target(*args, **kwargs))
        except SystemExit as error:
            why = ""
            if error.code not in (None, 0):
                why = "raised"
            self.probe.settle("acked", why=why)
        except Exception as error:
            self.probe.tell_uncaught_error(error)
            self.probe.settle("acked", why="raised")
        else:
            self.probe.settle("acked")

    def _read_arguments(self, message: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) with which a message calls the handler."""
        if "payload" not in message:
            return message["args"], message["kwargs"]  # of `add_job`
        if self.takes_payload:
            return self.probe.make_arguments(message["payload"], self.function())
        return ([], {})

    def died(self, message: dict[str, Any], who: str) -> None:
        self.probe.settle("requeued", delay=self._find_period_s(), why="the next tick")


async def _do_nothing() -> None:
    """What is awaited in the place of a handler that is delivered later."""


def _is_plain(value: Any) -> bool:
    """Whether a value comes out of JSON as what it was: a tuple, an enum or a named tuple does
    not.
    """
    if type(value) is dict:
        return all(type(name) is str and _is_plain(inner) for name, inner in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _find_owner(value: Any, libraries: list[str]) -> str | None:
    """The library of which the handler is an object, whose driver should run it; None where it is
    one of none.
    """
    for kind in type(value).__mro__:
        if not isinstance(kind.__module__, str):
            continue
        # The first word of "library.app.task".
        library = kind.__module__.partition(".")[0]
        if library in libraries:
            return library
    return None


def _bind_method(owner: Any, value: Any) -> Any:
    """A method on an object of its class, which is made for it; anything else as it is."""
    if not inspect.isclass(owner) or not inspect.isfunction(value):
        return value
    if "self" in inspect.signature(value).parameters:
        return getattr(owner(), value.__name__)
    return value


def _takes_payload(target: Callable[..., Any], settings: dict[str, Any]) -> bool:
    """Whether the payload is an argument. `main(argv=None)` and `poll(limit=50)` find their work by
    themselves.
    """
    parameters = inspect.signature(target).parameters.values()
    if settings.get("message"):
        return bool(parameters)
    fields = settings.get("fields") or []
    for parameter in parameters:
        is_variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        is_required = parameter.default is parameter.empty and not is_variable
        if is_required or parameter.name in fields:
            return True
    return False


def _seconds_until(when: Any) -> float:
    """Seconds from the process's own clock to a run date; 0.0 where there is none."""
    import datetime

    if isinstance(when, str):
        with contextlib.suppress(ValueError):
            when = datetime.datetime.fromisoformat(when)
    if not isinstance(when, datetime.datetime):
        return 0.0
    return max(0.0, (when - datetime.datetime.now(when.tzinfo)).total_seconds())
