"""What a job library's probe must do, and the probe of plain callables."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from .names import NotThere, find
from .recorder import Recorder


class Probe:
    """What a driver may use. A driver is `class Driver` in `frameworks/<id>/probe.py`, made with this object.

    `settings` holds the proof's settings for it: `redis` (URL or None), `message` (payload | kwargs | None),
    `fields` (the payload's field names), `queue` (where dead letters go, for kind queue).
    """

    def __init__(self, recorder: Recorder, settings: dict[str, Any]) -> None:
        self.recorder, self.settings = recorder, settings

    def publish(self, send: Callable[[], Any], message: dict[str, Any], *, to_handler: bool, delay: float,
                label: str) -> Any:  # fmt: skip
        """Reports a publish with a boundary before and after it. `send` really sends where that must happen."""
        recorder = self.recorder
        name = recorder.next_name(f"publish-{label}" if not to_handler else "publish")
        place = recorder.place()
        recorder.boundary("before", name, kind="publish", to_handler=to_handler, label=label, place=place)
        with recorder.quiet():
            result = send()
        recorder.emit("published", name=name, message=message, to_handler=to_handler, delay=delay, label=label,
                      in_handler=recorder.depth > 0, in_effect=recorder.effect_depth > 0, place=place)  # fmt: skip
        recorder.boundary("after", name, kind="publish", to_handler=to_handler, label=label, place=place)
        return result

    def settle(self, how: str, *, delay: float = 0.0, message: dict[str, Any] | None = None, why: str = "") -> None:
        """Reports what becomes of the delivered message: acked | requeued | dead | lost.

        `requeued`: it comes again after `delay` seconds, as `message` where the library changes it.
        `dead`: the library keeps it in a dead-letter place of its own. `lost`: nobody will ever see it again.
        """
        self.recorder.emit("settled", how=how, delay=delay, message=message, why=why)

    def bound(self, function: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
        """A message's arguments as text that does not depend on how they were passed: its `arguments`."""
        try:
            bound = inspect.signature(function).bind_partial(*args, **kwargs)
        except TypeError:
            return None
        return repr(sorted((name, repr(value)) for name, value in bound.arguments.items() if name != "self"))

    def arguments(self, payload: Any, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) with which the payload reaches the handler."""
        mode = self.settings.get("message") or _message_mode(function, self.settings.get("fields") or [])
        if mode == "payload" or not isinstance(payload, dict):
            return [payload], {}
        return [], dict(payload)


def _message_mode(function: Callable[..., Any], fields: list[str]) -> str:
    """One parameter that is no payload field takes the whole payload."""
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    return "payload" if len(names) == 1 and names[0] not in fields else "kwargs"


class Driver:
    """Plain callables: a cron script, a poller, an APScheduler function. The next tick is the only retry."""

    CONTROL: tuple[str, ...] = ()  # exception classes by which the library itself steers, "module.Class"
    LOGGERS: tuple[str, ...] = ()  # prefixes of the library's own loggers

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.target: Callable[..., Any] = lambda: None

    def boot(self, handler: str) -> dict[str, Any]:
        """Finds the handler. Facts about it and its library that the verdict speaks of. Raises NotThere."""
        _, _, self.target = find(handler)
        if not callable(self.target):
            raise NotThere(f"{handler} cannot be called")
        takes = bool([name for name in inspect.signature(self.target).parameters if name not in ("self", "cls")])
        return {"library": "a plain callable", "redelivery_s": 60.0, "ticks": not takes, "bounded_kills": False,
                "on_kill": "the next tick runs it again; its state in the database decides"}  # fmt: skip

    def function(self) -> Any:
        """The Python function that is the handler, below every decorator of the library."""
        return inspect.unwrap(self.target)

    def publish(self, payload: Any) -> None:
        """What the publisher sends for a payload, through the library's own serialisation; reports `published`."""
        message = {"payload": json.loads(json.dumps(payload))}
        self.probe.publish(lambda: None, message, to_handler=True, delay=0.0, label="tick")

    def deliver(self, message: dict[str, Any]) -> None:
        """Runs one delivery with the library's own executor; reports `settled`."""
        takes = inspect.signature(self.target).parameters
        args, kwargs = self.probe.arguments(message["payload"], self.function()) if takes else ([], {})
        try:
            result = self.target(*args, **kwargs)
            if inspect.iscoroutine(result):
                import asyncio

                asyncio.run(result)
        except (Exception, SystemExit):
            self.probe.settle("acked", why="raised")
            return
        self.probe.settle("acked")

    def died(self, message: dict[str, Any], who: str) -> None:
        """What the library does with the message of a process that died: `who` is child or worker."""
        self.probe.settle("requeued", delay=60.0, why="the next tick")

    def dead_letters(self) -> int | None:
        """How many the library's own dead-letter place holds; None where it has none."""
        return None
