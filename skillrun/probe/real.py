"""A real worker with the probe in it: for the confirmation of a proof (proof/confirm).

    main(CONFIG_FILE, "publish" | "work")

The library's own worker runs, on a private broker, with effects, handler and faults hooked as in a
zygote; its clock is the machine's. Each entry into the handler is a delivery of its own, and events
go to a file, a JSON line each. A wait that the library asks for is told, and then cut to `wait_s`,
so that nobody has to sit through a backoff.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import inspect
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from . import names
from .aside import Aside
from .audit import Audit
from .awaiting import finish_call
from .channel import Channel
from .clock import Clock, Jitter
from .driver import Driver, Probe, load_module
from .effects import Effect
from .handler import HandlerHook
from .recorder import Recorder
from .sql import SqliteHook
from .stores import install_stores

OneDriver = TypeVar("OneDriver", bound=Driver)

# The handler's clock is none of these.
_real_monotonic, _real_sleep = time.monotonic, time.sleep
_POLL_S = 0.02
_HELD_S = 60.0  # nobody holds it for longer

PUBLISHER = -1  # the number of its "delivery"; a worker's own doings have 0


class File(Channel):
    """Events at the end of a file. Who stands still goes on as soon as a file says so."""

    def __init__(self, path: str) -> None:
        self.path, self.held = path, 0
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        super().__init__(fd, fd)
        self.delivery = 0

    def send(self, value: dict[str, Any]) -> None:
        """One write: lines of several processes do not mix."""
        full = {**value, "delivery": self.delivery, "pid": os.getpid(), "t": time.time()}
        os.write(
            self.fd, json.dumps(full, default=repr).encode("utf-8", "backslashreplace") + b"\n"
        )

    def knock(self) -> None:
        pass

    def receive(self) -> dict[str, Any] | None:
        """Waits for the file of this pause; the plan stays as it is."""
        self.held += 1
        until = _real_monotonic() + _HELD_S
        while not os.path.exists("%s.go%d" % (self.path, self.held)):
            if _real_monotonic() > until:
                return None
            _real_sleep(_POLL_S)
        return {}


class Live(Recorder):
    """A recorder for a process that delivers more than once, and whose worker can be killed as
    well.
    """

    def __init__(self, root: str, config: dict[str, Any]) -> None:
        super().__init__(root)
        self.plans: dict[str, dict[str, Any]] = config["plans"]
        self.file = File(config["events"])
        self.counter = os.open(
            config["events"] + ".count", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        self.worker = os.getpid()
        self.jitter = Jitter()
        self.begin_delivery(self.file, {})

    def next_delivery(self) -> None:
        """Numbered over all processes, from 1."""
        os.write(self.counter, b".")
        number = os.lseek(self.counter, 0, os.SEEK_CUR)
        plan = dict(self.plans.get(str(number)) or self.plans.get("*") or {})
        jitter = plan.pop("jitter", None)
        if jitter:
            # Not before it is needed: the worker itself draws lots as well.
            if self.jitter.highest is None:
                self.jitter.install()
            self.jitter.highest = jitter == "high"
        self.file.delivery = number
        self.begin_delivery(self.file, plan)

    def _meet_fault(self, at: str, fault: dict[str, Any]) -> None:
        if fault["do"] != "kill-worker":
            super()._meet_fault(at, fault)
            return
        self.emit("fault", at=at, do="kill-worker", place=self.find_place())
        # A child in a session of its own, as RQ's, could not signal its worker otherwise.
        with self.quiet():
            if self.worker != os.getpid():
                os.kill(self.worker, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


class LiveHook(HandlerHook):
    """In front of the handler: whoever enters it begins a delivery."""

    recorder: Live

    def report_entry(self) -> None:
        self.recorder.next_delivery()
        super().report_entry()


class Bench:
    """What the real worker of a library is made with."""

    def __init__(self, recorder: Live, config: dict[str, Any]) -> None:
        self.recorder, self.config = recorder, config
        self.probe = Probe(recorder, config["settings"])
        self.broker: str = config["broker"]
        self.queues: list[str] = config["queues"]
        self.polled = False

    def tell_ready(self) -> None:
        """The worker takes messages from now on."""
        self.recorder.emit("ready")

    def tell_over(self) -> None:
        """The library has done with a delivery all that it does."""
        self.recorder.emit("over")

    @contextlib.contextmanager
    def around_poll(self) -> Iterator[None]:
        """Around each look for messages: before the first one, the worker is ready."""
        if not self.polled:
            self.polled = True
            self.tell_ready()
        yield

    @contextlib.contextmanager
    def around_delivery(self) -> Iterator[None]:
        """Around all that the library does with a delivery."""
        try:
            yield
        finally:
            self.tell_over()

    def cut_wait(self, seconds: float) -> float:
        """Tells for how long a job is to wait; how long it shall."""
        self.recorder.emit("waits", s=seconds)
        most = self.config["wait_s"]
        if most is None:
            return seconds
        return min(seconds, float(most))


class RealWorker(abc.ABC, Generic[OneDriver]):
    """A library's own worker with the probe in it. Each library has a `class Worker` in
    `frameworks/<id>/real_worker.py`.
    """

    driver: OneDriver  # its methods find and publish the job here, too

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @abc.abstractmethod
    def boot(self, handler: str) -> Any:
        """Imports the repository, has the library use the bench's broker, and returns the
        handler's own function.
        """

    def publish(self, payload: Any) -> None:
        """Publishes one message."""
        self.driver.publish(payload)

    @abc.abstractmethod
    def work(self) -> None:
        """Works in this process, until somebody ends it."""


def _boot_worker(config: dict[str, Any]) -> RealWorker[Driver]:
    """As the zygote does, without its clock. The framework's worker."""
    sys.path[:0] = config["paths"]
    recorder = Live(os.path.realpath(config["root"]), config)
    aside = Aside(config["root"], config["scratch"], config["free"], config["kept"])
    SqliteHook(recorder, Clock(recorder), aside).install()
    install_stores(recorder, config["servers"])
    worker: RealWorker[Driver] = load_module(config["library"], "real_worker").Worker(
        Bench(recorder, config)
    )
    function = worker.boot(config["handler"])
    for path, value in config["values"].items():
        names.put_value(path, value)
    for effect in config["effects"]:
        Effect(recorder, effect).install()
    LiveHook(recorder, worker.driver.CONTROL).install(function)
    recorder.make_error = names.make_ordered_error
    Audit(recorder, config["scratch"], config["free"], config["servers"]).install()
    return worker


def main(file: str, op: str) -> None:
    """Publishes the configured job once, or works."""
    with open(file) as stream:
        config = json.load(stream)
    worker = _boot_worker(config)
    if op == "work":
        worker.work()
        return
    worker.bench.recorder.file.delivery = PUBLISHER
    _publish_all(worker, config)


def _publish_all(worker: RealWorker[Driver], config: dict[str, Any]) -> None:
    """Each call, or each payload, after the other. Who is told that it failed goes on."""
    steps: list[Callable[[], Any]] = []
    for name, arguments in config["calls"]:
        steps.append(functools.partial(_call_application, name, arguments))
    for payload in config["payloads"]:
        steps.append(functools.partial(worker.publish, payload))
    for place, step in enumerate(steps):
        with _tell_errors(worker, place):
            begun = step()
            if inspect.isawaitable(begun):
                # One loop for all of them, as in a server: a client's connection belongs to it.
                finish_call(_await_calls(worker, begun, steps, place))
                return


async def _await_calls(
    worker: RealWorker[Driver], begun: Any, steps: list[Callable[[], Any]], place: int
) -> None:
    """What has begun, then those after it."""
    with _tell_errors(worker, place):
        await begun
    for later in range(place + 1, len(steps)):
        with _tell_errors(worker, later):
            await steps[later]()


def _call_application(name: str, arguments: dict[str, Any]) -> Any:
    return names.find_object(name)[2](**arguments)


@contextlib.contextmanager
def _tell_errors(worker: RealWorker[Driver], place: int) -> Iterator[None]:
    """An exception out of a call is an event."""
    try:
        yield
    except Exception as error:
        traceback.print_exc()
        worker.bench.recorder.emit("caller-raised", place=place, error=type(error).__name__)
