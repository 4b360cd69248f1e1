"""What a forked process does with its order: it calls the application or a method of the driver,
and reports all of it.
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import pages
from .awaiting import finish_call
from .booting import Booted
from .channel import Channel
from .names import find_object
from .own_modules import list_files_of, list_own_files
from .own_process import redirect_output
from .recorder import close_all
from .request_transactions import begin_request


class Child:
    """One forked process. `has_gate`: its connections are asked about."""

    def __init__(self, booted: Booted, *, has_gate: bool) -> None:
        self.booted, self.recorder = booted, booted.recorder
        self.has_gate = has_gate

    def run(self, order: dict[str, Any], fds: list[int]) -> None:
        """Obeys one order and ends; where the order says that it stays, obeys the others that come
        on the same channel first.
        """
        redirect_output(order.get("output"))
        channel = Channel(*fds)
        self.obey_order(order, channel)
        while order.get("stays"):
            order = channel.receive() or {}
            if order:
                self.obey_order(order, channel)
        if self.recorder.is_alone():
            close_all(channel)
        os._exit(0)

    def obey_order(self, order: dict[str, Any], channel: Any) -> None:
        """Does what an order says, and reports it from the first event, "began", to "end"."""
        self.booted.clock.set_offset(float(order["clock"]))
        jitter = order.get("plan", {}).pop("jitter", None)
        if jitter:
            self.booted.clock.jitter.highest = jitter == "high"
        self.booted.audit.watch_gate(self.booted.gate)
        self.recorder.begin_delivery(channel, order.get("plan") or {})
        self.recorder.emit("began", pid=os.getpid())
        self.booted.later.begin_delivery()
        if self.booted.gate and not self.has_gate:
            self.recorder.emit("note", what="no-gate")
        try:
            self.do_operation(order["op"], order["args"])
        except BaseException as error:
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.recorder.emit(
                "probe-error",
                text=text[-4000:],
                injected=bool(getattr(error, "__skillrun__", False)),
                error=f"{type(error).__name__}: {error}",
            )
        sys.stdout.flush()
        sys.stderr.flush()
        self.booted.later.end_delivery(is_last=not order.get("stays"))
        self.booted.audit.end_delivery()
        needs = None
        if order.get("warms"):
            needs = self.collect_needs(order["warms"])
        modules = None
        if order.get("modules"):
            modules = list_own_files(self.recorder.root)
        alone = not order.get("stays") and self.recorder.is_alone()
        self.recorder.emit(
            "end", modules=modules, needs=needs, clock=self.booted.clock.offset, alone=alone
        )
        if not alone:  # else its channel closes at once
            self.recorder.knock()

    def collect_needs(self, what: str) -> dict[str, Any]:
        """What `warm_up` takes. Of "memory": the pages that this process wrote. Of "libraries":
        what it imported, and the files of which it knows the code.
        """
        if what == "memory":
            return {"what": what, "pages": pages.list_own_memory(), "names": [], "codes": []}
        codes = list(self.booted.audit.frames.codes)
        return {"what": what, "pages": [], "names": self.list_new_libraries(), "codes": codes}

    def list_new_libraries(self) -> list[str]:
        """What was imported since the boot, without the repository's own modules: those may mean to
        come late.
        """
        found = []
        # A copy of the list: a look at a module may import another.
        for name, module in list(sys.modules.items()):
            is_own = list_files_of(module, self.recorder.root)
            if name not in self.booted.imported and not is_own:
                found.append(name)
        return found

    def do_operation(self, op: str, args: list[Any]) -> None:
        """Calls the application as its publisher or its sweep, or a method of the driver: `op` is
        the method's name.
        """
        self.recorder.is_caller = op in ("call", "recover")
        if op == "call":
            self.call_publisher(*args)
        elif op == "recover":
            function = find_command(find_object(args[0])[2])
            self.call_application(lambda: self.booted.driver.sweep(function))
        elif op == "publish_each":
            self.publish_each(*args)
        else:
            getattr(self.booted.driver, op)(*args)

    def publish_each(self, given: list[list[Any]]) -> None:
        """Publishes one after the other; `publishing` comes before each. One that cannot be
        published is an event, and left out.
        """
        for job, arguments in given:
            self.recorder.emit("publishing", job=job)
            self.call_application(functools.partial(self.booted.driver.publish, *arguments))

    def call_publisher(
        self, path: str, kwargs: dict[str, Any], others: Sequence[tuple[int, dict[str, Any]]] = ()
    ) -> None:
        """The application's own way to publish; then the same for other jobs, (job, arguments)
        each: `publishing` comes before these. A relay is called this way, too: a clock calls it,
        and no request.
        """
        function = find_object(path)[2]
        if path == self.booted.config["settings"]["enqueue"]:
            function = begin_request(function, self.booted.request_databases)
        calls: Iterator[tuple[int, dict[str, Any]]] = iter(others)
        begun = self.call_application(functools.partial(function, **kwargs))
        while not inspect.isawaitable(begun):
            following = next(calls, None)
            if following is None:
                return
            job, given = following
            self.recorder.emit("publishing", job=job)
            begun = self.call_application(functools.partial(function, **given))
        # One loop for all that is left, as in a server: a client's connection belongs to it.
        finish_call(self.await_calls(function, begun, calls))

    async def await_calls(
        self, function: Any, begun: Any, calls: Iterator[tuple[int, dict[str, Any]]]
    ) -> None:
        """Awaits the call that has begun, then makes the others in turn. What one of them raises is
        an event.
        """
        try:
            await begun
        except Exception as error:
            self.tell_failed_call(error)
        for job, given in calls:
            self.recorder.emit("publishing", job=job)
            try:
                await function(**given)
            except Exception as error:
                self.tell_failed_call(error)

    def call_application(self, call: Callable[[], Any]) -> Any:
        """What a call returns that runs beside the worker; None where it raises, which is an
        event.
        """
        try:
            return call()
        except Exception as error:
            self.tell_failed_call(error)
            return None

    def tell_failed_call(self, error: Exception) -> None:
        """Reports what the application's own call raised."""
        names = [f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__]
        injected = bool(getattr(error, "__skillrun__", False))
        self.recorder.emit(
            "caller-raised",
            error=names[0],
            text=str(error)[:400],
            injected=injected,
            serialising=is_serialising(error),
        )


def find_command(found: Any) -> Any:
    """The function behind a command that a library of command lines has made of it, without what
    that wraps around it to read options; anything else as it is. What the application itself has
    put around it, such as a transaction, stays.
    """
    callback: Any = getattr(found, "callback", None)
    if inspect.isfunction(found) or not inspect.isfunction(callback):
        return found
    while hasattr(callback, "__wrapped__") and _OF_COMMANDS.search(callback.__code__.co_filename):
        callback = callback.__wrapped__
    return callback


# The libraries of command lines, by the files of their wrappers.
_OF_COMMANDS = re.compile(r"[/\\](?:click|typer|flask)[/\\]")


# What serialisers say, when the frame that raised is in C and leaves no trace.
_NOT_SERIALISED = ("pickle", "serializable", "serialisable", "encode object")


def is_serialising(error: BaseException) -> bool:
    """Whether a value could not be made a message: a serialiser is on the way of the exception."""
    text = str(error).lower()
    if any(words in text for words in _NOT_SERIALISED):
        return True
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.split(".")[0] in ("json", "pickle", "msgpack") or name == "kombu.serialization":
            return True
        trace = trace.tb_next
    return False
