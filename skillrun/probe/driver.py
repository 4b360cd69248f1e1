"""What a driver of a job library does, and what it is given."""

from __future__ import annotations

import abc
import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .awaiting import finish_call
from .facts import Facts
from .recorder import Recorder
from .starting import Begun, Ways

When = Callable[[Callable[[], None]], None]


def _at_once(tell: Callable[[], None]) -> None:
    """Reports a publish without waiting for anything."""
    tell()


def seconds_left(wait: timedelta | float) -> float:
    """Seconds for which a message waits, as it is reported: to the hundredth, and none where its
    time has come.
    """
    if isinstance(wait, timedelta):
        wait = wait.total_seconds()
    return max(0.0, round(wait, 2))


@dataclass
class Publish:
    """One message on its way: fields change while it is sent, as more of it is known."""

    label: str  # what a person is told of where it goes
    to_handler: bool
    message: dict[str, Any] = field(default_factory=dict)
    delay: float = 0.0  # seconds for which it waits
    callback: bool = False  # to what the library calls after the handler


class Probe:
    """What a driver may use.

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
        one = Publish(label, to_handler, message, delay, callback)
        with self.around_publish(one):
            return send()

    @contextlib.contextmanager
    def around_publish(self, one: Publish, when: When = _at_once) -> Iterator[None]:
        """As `publish`, around a sending that is awaited; what is known afterwards alone is put
        into `one` inside.

        `when` is given what reports the publish: in a transaction that is not before its commit.
        """
        recorder = self.recorder
        call = "publish"
        if not one.to_handler:
            call = f"publish-{one.label}"
        name = recorder.next_name(call)
        where: dict[str, Any] = {
            "kind": "publish",
            "to_handler": one.to_handler,
            "label": one.label,
            "place": recorder.find_place(),
        }
        # A death before the boundary comes before the message is there, one after it comes behind.
        recorder.meet_boundary("before", name, **where)
        with recorder.quiet():
            yield
        when(self._make_report(one, name, where["place"]))
        recorder.meet_boundary("after", name, **where)

    def tell_publish(self, one: Publish) -> None:
        """Reports a publish that another one brought about: no boundary stands around it."""
        self._make_report(one, one.label, self.recorder.find_place())()

    def _make_report(self, one: Publish, name: str, place: Any) -> Callable[[], None]:
        """What reports a publish, as it is now."""
        recorder = self.recorder
        return functools.partial(
            recorder.emit,
            "published",
            name=name,
            in_handler=recorder.depth > 0,
            in_effect=recorder.effect_depth > 0,
            place=place,
            **vars(one),
        )

    def settle(
        self, how: str, *, delay: float = 0.0, message: dict[str, Any] | None = None, why: str = ""
    ) -> None:
        """Reports what becomes of the delivered message: acked | requeued | dead | lost.

        `requeued`: it comes again after `delay` seconds, as `message` where the library changes it.
        `dead`: the library keeps it in a dead-letter place of its own. `lost`: nobody will ever see
        it again.
        """
        self.recorder.emit("settled", how=how, delay=delay, message=message, why=why)

    def tell_no_limit(self) -> None:
        """Reports that nothing ends the delivered job however long it takes, though the library
        ends others.
        """
        self.recorder.emit("unlimited")

    def tell_uncaught_error(self, error: BaseException) -> None:
        """Reports an error that nobody catches: whoever called the job prints or logs it, with its
        traceback.
        """
        text = f"{type(error).__name__}: {error}"
        self.recorder.emit(
            "log",
            logger="traceback",
            level="ERROR",
            template=None,
            text=text,
            extra={},
            error=text,
            place=None,
        )

    def bind_arguments(self, function: Callable[..., Any], args: Any, kwargs: Any) -> str | None:
        """A message's arguments as text that does not depend on how they were passed: its
        `arguments`.

        A default that is given is as one that is left out. Where a decorator of the application
        takes the message, and hands the function something else, its names are the message's own.
        """
        signature = inspect.signature(function)
        try:
            bound = signature.bind_partial(*args, **kwargs)
        except TypeError:
            return self._name_fields(kwargs)
        told = []
        for name, value in bound.arguments.items():
            default = repr(signature.parameters[name].default)
            if name != "self" and repr(value) != default:
                told.append((name, repr(value)))
        return repr(sorted(told))

    def _name_fields(self, kwargs: dict[str, Any]) -> str | None:
        """The fields of the payload and of its key among what a decorator takes, as text; None
        where there is none. What it takes besides, such as the id of a trace, names no job.
        """
        known = {*(self.settings.get("fields") or ()), *(self.settings.get("key") or ())}
        told = [(name, repr(value)) for name, value in kwargs.items() if name in known]
        return repr(sorted(told)) if told else None

    def make_arguments(
        self, payload: Any, function: Callable[..., Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) with which the payload reaches the handler."""
        mode = self.settings.get("message") or _message_mode(
            function, self.settings.get("fields") or []
        )
        # A payload that is no object has no fields to be named by.
        if mode == "payload" or not isinstance(payload, dict):
            return [payload], {}
        if mode == "args":
            return _split_by_position(payload, function, self.settings.get("fields") or [])
        return [], dict(payload)


def _split_by_position(
    payload: dict[str, Any], function: Callable[..., Any], fields: list[str]
) -> tuple[list[Any], dict[str, Any]]:
    """(args, kwargs) of a message whose fields have no names. What the library gives comes before
    them; behind a field that is missing, all go by name.
    """
    named = dict(payload)
    args: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        is_given_by_library = parameter.name not in fields and not args
        if is_given_by_library:
            continue
        has_place = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if not has_place or parameter.name not in named:
            break
        args.append(named.pop(parameter.name))
    return args, named


def _message_mode(function: Callable[..., Any], fields: list[str]) -> str:
    """How a message brings the payload: "payload", as one argument, where the handler has a single
    parameter and it is no field of the payload; else "kwargs", each field by its name.
    """
    names = []
    for name in inspect.signature(function).parameters:
        if name not in ("self", "cls"):
            names.append(name)
    if len(names) == 1 and names[0] not in fields:
        return "payload"
    return "kwargs"


class Driver(abc.ABC):
    """Runs the jobs of one library with its own code, without its worker. Each library has a
    `class Driver` in `frameworks/<id>/driver.py`; it is made with a `Probe`.
    """

    # Exception classes by which the library itself steers, "module.Class".
    CONTROL: tuple[str, ...] = ()
    LOGGERS: tuple[str, ...] = ()  # prefixes of the library's own loggers
    # Below these loggers the library's own formatter writes the id of the message.
    TASK_LOGGERS: tuple[str, ...] = ()
    WAYS = Ways()
    worker_begun: Begun | None = (
        None  # the repository's worker, where a command line of it led to one
    )

    def __init__(self, probe: Probe) -> None:
        self.probe = probe

    def prepare_process(self) -> None:  # noqa: B027 - most libraries' workers do nothing before
        """What its worker does, and what must be hooked, before anything of the repository is
        imported.
        """

    @abc.abstractmethod
    def boot(self, handler: str) -> Facts:
        """Finds the handler, and returns the facts about it and its library that the verdict speaks
        of. Raises NotThere.
        """

    @abc.abstractmethod
    def function(self) -> Any:
        """The Python function that is the handler, below every decorator of the library."""

    @abc.abstractmethod
    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """What the publisher sends for a payload, through the library's own serialisation; reports
        `published`. `like` is what the application itself published for another payload: where
        options are said by who publishes, they are the same.
        """

    @abc.abstractmethod
    def deliver(self, message: dict[str, Any]) -> None:
        """Runs one delivery with the library's own executor; reports `settled`."""

    @abc.abstractmethod
    def died(self, message: dict[str, Any], who: str) -> None:
        """What the library does with the message of a process that died: `who` is child or
        worker.
        """

    def watch_calls(self) -> None:  # noqa: B027 - a library's own messages need no watching
        """Once, in the zygote, when the handler reports: where a call of it is what publishes the
        job.
        """

    def is_clocked(self) -> bool:
        """Whether the spec says that a clock starts the job."""
        trigger = self.probe.settings.get("trigger") or {}
        return trigger.get("type") in ("cron", "poller")

    def sweep(self, function: Callable[..., Any]) -> None:
        """Calls a sweep of the application, with what the library's scheduler gives it."""
        finish_call(function())

    def rehearse(self) -> None:  # noqa: B027 - most drivers have nothing to touch
        """Touches what a delivery touches, in a child that waits for its order; reports nothing."""

    def list_begun_queues(self, worker: Any) -> Sequence[str]:
        """The queues of the worker that a script of the repository began; empty: not known."""
        return ()

    def list_default_queues(self) -> Sequence[str]:
        """The queues from which a worker takes jobs whose command line names none; empty: not
        known.
        """
        return ()

    def dead_letters(self) -> int | None:
        """How many jobs the library's own dead-letter place holds; None where it has none."""
        return None


def load_driver(library: str, probe: Probe) -> Driver:
    """The driver in the folder of a library. Raises whatever importing the library raises."""
    driver: Driver = load_module(library, "driver").Driver(probe)
    return driver


def load_module(library: str, name: str) -> Any:
    """A module in the folder of a library: none of another library is read."""
    above = __name__.rpartition(".probe.")[0]
    return importlib.import_module(f"{above}.frameworks.{library}.{name}")
