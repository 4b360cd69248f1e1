"""The base of drivers whose worker is started with settings that list its functions (arq, SAQ), and
whose jobs are in Redis.
"""

from __future__ import annotations

import abc
import asyncio
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from . import ids
from .async_driver import AsyncDriver
from .driver import Probe
from .facts import Facts
from .logs import say_nothing
from .modules import import_whose_text
from .names import NotThere, check_version, find_beside_django, find_object
from .redirecting import find_socket
from .shapes import without_context
from .swap import replace_calls
from .values import look_up
from .wrap import skip_calls


class ListedDriver(AsyncDriver):
    """See driver.py for what each method promises. A worker is made when a process first needs it,
    and lives as long as the process.
    """

    LIBRARY: str  # as its distribution is called
    OLDEST: tuple[int, int]  # the ones before are not known to the proof
    WORKER: Any  # its class
    SENDING: Any  # the coroutine function that enqueues
    # One of these words stands in a module that has settings and does not import the library.
    HINTS: tuple[bytes, ...]
    # Of several settings for one queue, those of that name count.
    USUAL_NAME = ""
    REFUSED: str  # words for a {handler} of a {kind} that it does not run
    OF_DELIVERY: tuple[str, ...] = ("message", "settled", "waited", "delay")
    waited = 0.0  # seconds that pass before the library does something with the message
    delay = 0.0  # what it then has its retry wait for
    ESCAPED: str  # words for an {error} of a class, {kind}, that leaves the worker's own code

    def __init__(self, probe: Probe, *, captures: bool = True) -> None:
        self.version = importlib.metadata.version(self.LIBRARY)
        check_version(self.LIBRARY, self.version, self.OLDEST)
        super().__init__(probe)
        self.redis = find_socket(str(probe.settings["redis"]))
        self.target: Any = None
        # Queue -> what the worker that reads it is made with.
        self.settings: dict[str, dict[str, Any]] = {}
        self.workers: dict[str, Any] = {}  # of this process, by queue
        self.message: dict[str, Any] = {}  # the last that was delivered
        self.settled = True  # it is known what becomes of that
        self.redirect_clients()
        if captures:
            self.capture_publishes()

    @abc.abstractmethod
    def can_run(self) -> bool:
        """Whether the library runs such a thing as `self.target`."""

    @abc.abstractmethod
    def redirect_clients(self) -> None:
        """Every client of the library speaks to the private Redis."""

    def capture_publishes(self) -> None:
        """Every job that is enqueued is a publish."""
        keep_arguments(self.WORKER)
        self.watch_sending(self.SENDING, self.send_job)

    @abc.abstractmethod
    async def send_job(self, send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """A call of `SENDING`, reported where it enqueues a job; `send` really enqueues it."""

    @abc.abstractmethod
    def read_facts(self) -> Facts:
        """What `boot` says, of a handler whose settings are found."""

    @abc.abstractmethod
    async def run_nothing(self) -> None:
        """Runs one job of the driver's own, whose end nobody is told of."""

    @abc.abstractmethod
    def read_settings(self, module: Any, value: Any) -> dict[str, Any] | None:
        """The settings that a name of a module holds; None where it holds something else."""

    @abc.abstractmethod
    def list_functions(self, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """(name by which its jobs are enqueued, function) of what a worker with such settings
        runs.
        """

    @abc.abstractmethod
    def keep_settings(self, settings: dict[str, Any], handler: str) -> None:
        """Puts them into `self.settings`. Raises NotThere."""

    @abc.abstractmethod
    async def begin_worker(self, queue: str) -> Any:
        """A worker of that queue that has called what its settings have it call at its start."""

    @abc.abstractmethod
    async def run_delivery(self, worker: Any, message: dict[str, Any]) -> None:
        """Has the worker run one job, and settles what becomes of it."""

    @abc.abstractmethod
    async def lose_worker(self, message: dict[str, Any], why: str) -> None:
        """Settles a job whose worker lets go of it without an end: it died, or says why."""

    @abc.abstractmethod
    async def publish_message(
        self, args: Any, kwargs: dict[str, Any], like: dict[str, Any] | None
    ) -> None:
        """See `publish`."""

    def boot(self, handler: str) -> Facts:
        self.target = find_beside_django(handler)[2]
        # A module may start a worker when it is imported.
        for entry in self.WAYS.entries:
            skip_calls(self.WORKER, entry.rpartition(".")[2])
        self.prepare(handler)
        self.warm_up()
        return self.read_facts()

    def prepare(self, handler: str) -> None:
        """Finds the settings of the workers that run `self.target`. Raises NotThere."""
        if not self.can_run():
            kind = type(self.target).__name__
            raise NotThere(self.REFUSED.format(handler=handler, kind=kind))
        self.find_settings(handler)

    def make_facts(self, **own: Any) -> Facts:
        """With what is so of all these libraries: a job is there until it is done, and a death uses
        up an attempt.
        """
        return Facts(
            library=f"{self.LIBRARY} {self.version}",
            acks_late=True,
            same_process=True,
            bounded_kills=True,
            redis_keys=f"{self.LIBRARY}:",
            broker_error="redis.exceptions:ConnectionError",
            **own,
        )

    # -- the worker's settings

    def function(self) -> Any:
        wrapped = inspect.unwrap(self.target)
        return getattr(wrapped, "__func__", wrapped)

    def find_settings(self, handler: str) -> None:
        """Those that a command line of the repository names, if they list the handler; else those
        of any module. Raises NotThere where there are none.
        """
        self.takes = without_context(self.function())
        for settings in self._load_started():
            self._keep_mine(settings, handler)
        if self.settings:
            return
        file = inspect.getsourcefile(self.function()) or self.probe.recorder.root
        broken: list[str] = []
        root = self.probe.recorder.root
        for module in import_whose_text(self.may_have_settings, root, file, broken):
            for settings in self._settings_in(module):
                self._keep_mine(settings, handler)
        if not self.settings:
            why = "".join(broken[:1])
            raise NotThere(
                "no worker settings were found whose functions or cron_jobs have"
                f" {handler} in them{why}"
            )

    def may_have_settings(self, text: bytes) -> bool:
        """A module is imported for nothing else: a script of the repository's may do anything
        then.
        """
        if b"functions" not in text and b"cron_jobs" not in text:
            return False
        imports = rf"^\s*(?:from|import) {self.LIBRARY}\b".encode()
        return any(word in text for word in self.HINTS) or bool(re.search(imports, text, re.M))

    def _load_started(self) -> Iterator[dict[str, Any]]:
        """`saq shop.worker.settings`: of each command, what its first word with a dot names."""
        for words in self.probe.settings.get("starts") or ():
            named = []
            for word in words[1:]:
                if "." in word and not word.startswith("-"):
                    named.append(word)
            try:
                if named:
                    owner, _, value = find_object(named[0])
                else:
                    owner, _, value = (None, "", None)
            # A command of another folder, or of another service: what it names is not there.
            except (Exception, SystemExit):
                continue
            settings = self.read_settings(owner, value)
            if settings is not None:
                yield settings

    def _settings_in(self, module: Any) -> Iterator[dict[str, Any]]:
        """A worker that was made already is read back by the arguments that made it."""
        held = sorted(vars(module).items(), key=lambda item: item[0] != self.USUAL_NAME)
        for name, value in held:
            if name.startswith("__"):
                continue
            settings = look_up(value, "_skillrun_made_with")
            if settings is None:
                settings = self.read_settings(module, value)
            if settings is not None:
                yield settings

    def _keep_mine(self, settings: dict[str, Any], handler: str) -> None:
        if self._list_names(settings):
            self.keep_settings(settings, handler)

    def find_names(self, queue: str) -> list[str]:
        """By which a job of that queue means the handler."""
        return self._list_names(self.settings.get(queue, {}))

    def _list_names(self, settings: dict[str, Any]) -> list[str]:
        functions = self.list_functions(settings)
        return [name for name, function in functions if self.is_mine(function)]

    def is_mine(self, function: Any) -> bool:
        """Whether it is the handler, below every decorator."""
        if callable(function):
            found = inspect.unwrap(function)
        else:
            found = function
        return function is self.target or getattr(found, "__func__", found) is self.function()

    # -- publishing and delivering

    def watch_sending(self, function: Callable[..., Any], send: Callable[..., Any]) -> None:
        """A call of a library's coroutine function is `send(before, ...)`, where `before` is that
        function as it was; nothing changes while nobody watches.
        """

        @replace_calls(function)
        async def hook(before: Any, *args: Any, **kwargs: Any) -> Any:
            if self.probe.recorder.is_listening:
                return await send(before, *args, **kwargs)
            return await before(*args, **kwargs)

    def find_like_key(
        self,
        key: str,
        name: str,
        theirs: tuple[Any, dict[str, Any]],
        ours: tuple[Any, dict[str, Any]],
    ) -> str:
        """The key of a job with our arguments, made as that of one with theirs. Raises ValueError
        where two distinct jobs have the same.
        """
        old, new = ids.read_values(self.takes, *theirs), ids.read_values(self.takes, *ours)
        made = ids.make_similar_id(key, old, new)
        if made == key and ids.are_distinct(old, new, self.probe.settings):
            raise ValueError(
                f"two distinct jobs have the same {name} {key}: {self.LIBRARY} enqueues the first"
                " one alone"
            )
        return made

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        args, kwargs = self.probe.make_arguments(payload, self.takes)
        self.run_in_loop(self.publish_message(args, kwargs, like))

    def deliver(self, message: dict[str, Any]) -> None:
        self.run_in_loop(self.deliver_in_loop(message))

    async def deliver_in_loop(self, message: dict[str, Any]) -> None:
        worker = await self.find_worker(message["queue"])
        self.message, self.settled = message, False
        others = asyncio.all_tasks()
        why = "it ends in neither a retry nor an end"
        try:
            await self.run_delivery(worker, message)
        except Exception as error:
            why = self.ESCAPED.format(kind=type(error).__name__, error=error)
        if not self.settled:
            await self.lose_worker(message, why)
        await self.wait_for_others(others)

    def died(self, message: dict[str, Any], who: str) -> None:
        """A worker has no child processes: a death is its own."""
        self.message, self.settled = message, False
        self.run_in_loop(self.lose_worker(message, "its worker died"))

    async def find_worker(self, queue: str) -> Any:
        """This process's worker, begun in silence."""
        if queue not in self.workers:
            with say_nothing(), self.probe.recorder.quiet():
                self.workers[queue] = await self.begin_worker(queue)
        return self.workers[queue]

    def tell_limit(self, job: Any) -> Any:
        """A job of the library, of which it is reported where its `timeout` ends nothing."""
        if job is not None and not job.timeout:
            self.probe.tell_no_limit()
        return job

    def settle(self, how: str, **more: Any) -> None:
        """Tells what becomes of the message that is being delivered."""
        self.settled = True
        self.probe.settle(how, **more)

    def sweep(self, function: Callable[..., Any]) -> None:
        """A cron function, as its worker calls it: with the context that its start has filled."""
        if not _takes_context(function):
            super().sweep(function)
            return
        self.run_in_loop(self._run_sweep(function))

    async def _run_sweep(self, function: Callable[..., Any]) -> None:
        worker = await self.find_worker(next(iter(self.settings)))
        found = function(getattr(worker, "context", None) or getattr(worker, "ctx", None))
        if inspect.isawaitable(found):
            await found

    def warm_up(self) -> None:
        """What the library imports and compiles on first use is there before the forks; no
        connection outlives this.
        """
        with say_nothing():
            self.run_in_loop(self.run_nothing())
        self.close_loop()


def _takes_context(function: Callable[..., Any]) -> bool:
    """Whether a sweep is a cron function of the library's. What needs no argument is called
    without: its first one may be a connection, or a limit.
    """
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None:
        return False
    return first.default is first.empty or first.name in ("ctx", "context")


def keep_arguments(worker: Any) -> None:
    """A worker that is made keeps the arguments that made it, for whoever asks what it lists."""

    @replace_calls(worker.__init__)
    def init(make: Any, made: Any, *args: Any, **kwargs: Any) -> None:
        make(made, *args, **kwargs)
        given = inspect.signature(make).bind(made, *args, **kwargs).arguments
        kept = {}
        for name, value in given.items():
            if name not in ("self", "kwargs"):
                kept[name] = value
        made._skillrun_made_with = {**kept, **given.get("kwargs", {})}


def lists_functions(settings: dict[str, Any]) -> bool:
    """Whether a worker that is made with them has anything to run."""
    return "functions" in settings or "cron_jobs" in settings


def may_make_settings(module: Any, function: Any) -> bool:
    """Whether a function may be called to see whether it makes settings: one of the module's own
    that takes nothing and names the key, `def settings(): return {"functions": [...]}`.
    """
    if function.__module__ != module.__name__ or inspect.signature(function).parameters:
        return False
    return "'functions'" in repr(function.__code__.co_consts)


async def do_nothing(ctx: dict[str, Any]) -> None:
    """A job that is run once at boot."""
