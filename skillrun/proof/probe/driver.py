"""What a job library's probe must do, and the probe of plain callables."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .awaiting import finished
from .imports import when_imported
from .names import NotThere, find, set_up_django
from .recorder import Recorder
from .swap import swap

When = Callable[[Callable[[], None]], None]


def _at_once(tell: Callable[[], None]) -> None:
    tell()


class Probe:
    """What a driver may use. A driver is `class Driver` in `frameworks/<id>/probe.py`, made with
    this object.

    `settings` holds the proof's settings for it: `redis` (URL or None), `message` (payload | kwargs
    | None),
    `fields` (the payload's field names), `key` (those that make two messages the same job), `queue`
    (where dead letters
    go, for kind queue), `trigger` (type, every).
    """

    def __init__(self, recorder: Recorder, settings: dict[str, Any]) -> None:
        self.recorder, self.settings = recorder, settings

    def publish(
        self,
        send: Callable[[], Any],
        message: dict[str, Any],
        *,
        to_handler: bool,
        delay: float,
        label: str,
        callback: bool = False,
    ) -> Any:
        """Reports a publish with a boundary before and after it. `send` really sends where that
        must happen.

        `callback`: to what the library calls after the handler, as its options say; see
        `Driver.callback`.
        """
        told = {
            "message": message,
            "to_handler": to_handler,
            "delay": delay,
            "label": label,
            "callback": callback,
        }
        with self.publishing(told):
            return send()

    @contextlib.contextmanager
    def publishing(self, told: dict[str, Any], when: When = _at_once) -> Iterator[None]:
        """As `publish`, around a sending that is awaited; what is known afterwards alone is put
        into `told` inside.

        `when` is given what reports the publish: in a transaction that is not before its commit.
        """
        recorder, label, to_handler = self.recorder, told["label"], told["to_handler"]
        name = recorder.next_name(f"publish-{label}" if not to_handler else "publish")
        where = {
            "kind": "publish",
            "to_handler": to_handler,
            "label": label,
            "place": recorder.place(),
        }
        recorder.boundary("before", name, **where)
        with recorder.quiet():
            yield
        when(
            functools.partial(
                recorder.emit,
                "published",
                name=name,
                in_handler=recorder.depth > 0,
                in_effect=recorder.effect_depth > 0,
                place=where["place"],
                **told,
            )
        )
        recorder.boundary("after", name, **where)

    def settle(
        self, how: str, *, delay: float = 0.0, message: dict[str, Any] | None = None, why: str = ""
    ) -> None:
        """Reports what becomes of the delivered message: acked | requeued | dead | lost.

        `requeued`: it comes again after `delay` seconds, as `message` where the library changes it.
        `dead`: the library keeps it in a dead-letter place of its own. `lost`: nobody will ever see
        it again.
        """
        self.recorder.emit("settled", how=how, delay=delay, message=message, why=why)

    def bound(self, function: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
        """A message's arguments as text that does not depend on how they were passed: its
        `arguments`.

        A default that is given is as one that is left out.
        """
        signature = inspect.signature(function)
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError:
            return None
        defaults = {name: repr(one.default) for name, one in signature.parameters.items()}
        given = {name: repr(value) for name, value in bound.arguments.items() if name != "self"}
        return repr(
            sorted((name, value) for name, value in given.items() if value != defaults[name])
        )

    def arguments(
        self, payload: Any, function: Callable[..., Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) with which the payload reaches the handler."""
        mode = self.settings.get("message") or _message_mode(
            function, self.settings.get("fields") or []
        )
        if mode == "payload" or not isinstance(payload, dict):
            return [payload], {}
        return [], dict(payload)


def _message_mode(function: Callable[..., Any], fields: list[str]) -> str:
    """One parameter that is no payload field takes the whole payload."""
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return "payload" if len(names) == 1 and names[0] not in fields else "kwargs"


class Driver:
    """Plain callables: a cron script, a poller, an APScheduler function. The next tick is the only
    retry.
    """

    # Exception classes by which the library itself steers, "module.Class".
    CONTROL: tuple[str, ...] = ()
    LOGGERS: tuple[str, ...] = ("traceback",)  # prefixes of the library's own loggers
    # Below these loggers the library's own formatter writes the id of the message.
    TASK_LOGGERS: tuple[str, ...] = ()

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.target: Callable[..., Any] = lambda: None
        self.trigger: dict[str, Any] = probe.settings.get("trigger") or {}

    def boot(self, handler: str) -> dict[str, Any]:
        """Finds the handler. Facts about it and its library that the verdict speaks of. Raises
        NotThere.
        """
        set_up_django()
        owner, _, value = find(handler)
        self.target = _bound(owner, value)
        if not callable(self.target):
            raise NotThere(f"{handler} cannot be called")
        self.takes = _takes(self.target, self.probe.settings)
        # A script reads it.
        sys.argv[:] = [getattr(inspect.getmodule(self.function()), "__file__", None) or handler]
        when_imported("apscheduler.schedulers.base", self._capture)
        return {
            "library": "a plain callable",
            "redelivery_s": self._again_s(),
            "ticks": not self.takes,
            "bounded_kills": False,
            "on_kill": self._on_kill(),
            "owner": _owner(value),
        }

    def _again_s(self) -> float:
        return float(self.trigger.get("every") or 60.0)

    def _on_kill(self) -> str:
        if self.takes:
            return "no library gives it back: whoever called it is taken to call it again"
        if self.trigger.get("type") == "cron":
            return "no library gives it back: it is taken to be started again by hand, or by the next tick"
        return "the next tick runs it again; its state in the database decides"

    def function(self) -> Any:
        """The Python function that is the handler, below every decorator of the library."""
        found: Any = self.target
        while isinstance(found, functools.partial):
            found = found.func
        found = inspect.unwrap(getattr(found, "__func__", found))
        return found if hasattr(found, "__code__") else type(found).__call__

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
            func = find(func)[2] if isinstance(func, str) else func
        found = inspect.unwrap(getattr(func, "__func__", func)) if callable(func) else func
        return found is self.function(), str(getattr(found, "__qualname__", found))

    def publish(self, payload: Any) -> None:
        """What the publisher sends for a payload, through the library's own serialisation; reports
        `published`.
        """
        message: dict[str, Any] = {"payload": json.loads(json.dumps(payload))}
        if self.takes:
            args, kwargs = self.probe.arguments(message["payload"], self.function())
            message["arguments"] = self.probe.bound(self.function(), args, kwargs)
        self.probe.publish(lambda: None, message, to_handler=True, delay=0.0, label="tick")

    def deliver(self, message: dict[str, Any]) -> None:
        """Runs one delivery with the library's own executor; reports `settled`."""
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
        return self.probe.arguments(message["payload"], self.function()) if self.takes else ([], {})

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
        """What the library does with the message of a process that died: `who` is child or
        worker.
        """
        self.probe.settle("requeued", delay=self._again_s(), why="the next tick")

    def rehearse(self) -> None:
        """Touches what a delivery touches, in a child that waits for its order; may do nothing,
        reports nothing.
        """

    def dead_letters(self) -> int | None:
        """How many the library's own dead-letter place holds; None where it has none."""
        return None


def _owner(value: Any) -> str | None:
    """The job library whose object the handler is, where its driver should run it."""
    roots = [
        kind.__module__.partition(".")[0]
        for kind in type(value).__mro__
        if isinstance(kind.__module__, str)
    ]
    return next((root for root in roots if root in ("celery", "dramatiq", "huey")), None)


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
