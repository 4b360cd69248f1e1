"""The boot of a process from which deliveries are forked: the handler is imported, and everything
that must report is hooked.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from .aside import Aside
from .audit import Audit
from .clock import Clock
from .driver import Driver, Probe, load_driver
from .effects import Effect
from .facts import BootFacts, Facts, add_boot
from .gate import Gate, can_ask
from .handler import HandlerHook
from .host import Host
from .later import Later
from .logs import Logs, install_printed
from .names import NotThere, make_ordered_error, put_value
from .own_modules import find_last_place, ignore_bytecode, list_own_files
from .own_process import LIBC
from .plain import PlainDriver
from .recorder import Recorder
from .request_transactions import find_request_databases
from .sql import SqliteHook
from .starting import begin_by_command, find_consumed, has_timer
from .stores import install_stores


class BootFailed(Exception):
    """Why no delivery can run: `what` is handler | effect | error | framework | source
    | value."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what, self.text = what, text


class Booted:
    """What every delivery inherits."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.recorder = Recorder(os.path.realpath(config["root"]))
        self.recorder.scratch = config["scratch"].rstrip("/")
        self.clock = Clock(self.recorder)
        self.logs = Logs(self.recorder)
        self.gate: Gate | None = None

    def boot(self) -> BootFacts:
        """Imports the handler and hooks all that must report. Raises BootFailed.

        The order matters: what watches the process is there before any line of the repository runs;
        values, effects, logs and clock are put in once its modules are imported, the clock's
        functions into every module that holds one by then.
        """
        config, recorder = self.config, self.recorder
        sys.path[:0] = config["paths"]
        ignore_bytecode(config["root"])
        self.hook_before_the_repository()
        driver = self.load_driver()
        driver.prepare_process()
        driver.worker_begun = begin_by_command(
            driver.WAYS, config["settings"]["starts"], recorder.root
        )
        facts: Facts = self.run_of_repository("handler", lambda: driver.boot(config["handler"]))
        consumed = self._find_consumed(driver)
        timer = self._ask_for_timer(driver, facts)
        self.request_databases = self._find_request_databases()
        function = driver.function()
        self._put_values()
        effects = self.hook_effects()
        named = self._try_errors()
        if not hasattr(function, "__code__"):
            raise BootFailed("handler", f"{config['handler']} is no Python function")
        file = function.__code__.co_filename  # before its code is the hook's
        HandlerHook(recorder, driver.CONTROL, named).install(function)
        driver.watch_calls()
        recorder.make_error = make_ordered_error
        self.logs.install(sets_level=facts.sets_log_level, task_loggers=driver.TASK_LOGGERS)
        self.clock.install()
        self.audit.end_boot()
        self.driver = driver
        self.imported = frozenset(sys.modules)
        errors = [order["error"] for order in config["errors"]]
        foreign = {effect.name: effect.cannot_raise(errors, recorder.root) for effect in effects}
        return add_boot(
            facts,
            file=file,
            loggers=driver.LOGGERS,
            modules=tuple(list_own_files(recorder.root)),
            foreign_errors=foreign,
            awaited=tuple(effect.name for effect in effects if effect.is_awaited),
            has_gate=self.gate is not None,
            begun=_name_command(driver),
            consumed=consumed,
            has_timer=timer,
        )

    def hook_before_the_repository(self) -> None:
        """Installs what must be there before any line of the repository runs. Raises BootFailed."""
        config, recorder = self.config, self.recorder
        install_printed(self.logs)
        self.clock.install_early()
        self.audit = Audit(
            recorder, config["scratch"], config["free"], config["servers"], config["shared"]
        )
        self.audit.install(boots=True)
        if not self.audit.can_hear():
            text = "audit hooks have no effect in this interpreter: something that runs before the"
            text += " proof (sitecustomize, usercustomize, a .pth file) has replaced them"
            raise BootFailed("probe", text)
        if config["host"] is not None:
            Host(self.audit.frames, config["host"]).install()
        self.later = Later(recorder, self.audit)
        self.later.install()
        if can_ask(LIBC):
            self.gate = Gate(config["servers"])
        aside = Aside(config["root"], config["scratch"], config["free"], config["kept"])
        self.sqlite = SqliteHook(recorder, self.clock, aside)
        self.sqlite.install()
        install_stores(recorder, config["servers"])

    def load_driver(self) -> Driver:
        """The driver of the job library, or that of plain callables. Raises BootFailed."""
        probe, library = Probe(self.recorder, self.config["settings"]), self.config["library"]
        if library is None:
            return PlainDriver(probe)
        load = functools.partial(load_driver, library, probe)
        driver: Driver = self.run_of_repository("framework", load)
        return driver

    def _put_values(self) -> None:
        """Puts the values of `proof.values` in their places. Raises BootFailed."""
        for path, value in self.config["values"].items():
            put = functools.partial(put_value, path, value)
            self.run_of_repository("value", put, f"proof.values: {path}: ")

    def hook_effects(self) -> list[Any]:
        """Installs the hooks of all declared effects, and returns them. Raises BootFailed."""
        effects: list[Any] = []
        for effect in self.config["effects"]:
            hooked = Effect(self.recorder, effect)
            words = self.run_of_repository("effect", hooked.install, f"effects.{effect['name']}: ")
            if words:
                raise BootFailed("effect", words)
            effects.append(hooked)
        return effects

    def _try_errors(self) -> dict[type, str]:
        """Class -> what the spec calls it: each error is made once, to learn now whether it can be
        made. Raises BootFailed.
        """
        named: dict[type, str] = {}
        for order in self.config["errors"]:
            make = functools.partial(make_ordered_error, order)
            told = f"failures: {order['error']}: "
            made = self.run_of_repository("error", make, told)
            if not order.get("factory"):
                named[type(made)] = order["error"]
        return named

    def _find_consumed(self, driver: Driver) -> tuple[str, ...]:
        """The queues that the repository's workers take jobs from."""
        worker = None
        if driver.worker_begun:
            worker = driver.worker_begun.worker
        found = find_consumed(
            driver.WAYS,
            self.config["settings"]["starts"],
            self.recorder.root,
            driver.list_begun_queues(worker),
            driver.list_default_queues(),
        )
        return tuple(found)

    def _find_request_databases(self) -> tuple[str, ...]:
        """The databases that have a transaction open while a view makes the application's call."""
        return find_request_databases(self.config["settings"]["enqueue"], self.recorder.root)

    def _ask_for_timer(self, driver: Driver, facts: Facts) -> bool | None:
        """Whether the repository starts what brings the jobs that are due later; None where none
        are, or it is not known.
        """
        if not facts.timed:
            return None
        starts = self.config["settings"]["starts"]
        is_begun = driver.worker_begun is not None
        return has_timer(driver.WAYS, starts, self.recorder.root, is_begun=is_begun)

    def run_of_repository(self, what: str, work: Any, prefix: str = "") -> Any:
        """What `work` returns. Raises BootFailed for what it raises, in the words of that exception
        behind `prefix`. `what`: which part of the boot it is.
        """
        try:
            return work()
        except BootFailed:
            raise
        except (Exception, SystemExit) as error:
            text = f"{prefix}{type(error).__name__}: {error}"
            if isinstance(error, NotThere):
                # The probe's own words name what they are about: of a prefix such as
                # "failures: shop.mailer:Unavailable: " its first word is left.
                text = f"{prefix.partition(' ')[0]} {error}".lstrip()
            where = find_last_place(error, self.recorder.root)
            if where is not None:
                text = f"{text} ({where})"
            if isinstance(error, PermissionError) and self.audit.is_filtered:
                text += _explain_denial(error)
            raise BootFailed(what, text) from error


def _explain_denial(error: PermissionError) -> str:
    """What a machine without namespaces refuses: files by their names, else a socket or what
    processes share.
    """
    if error.filename is not None:
        return (
            "; this machine gives a proof no file system of its own, and then files outside of"
            " the scratch are closed"
        )
    return (
        "; this machine gives a proof no network of its own, and then every socket but a Unix"
        " one is refused, and so is what processes share in /dev/shm"
    )


def _name_command(driver: Driver) -> str:
    """The command line by which the worker was begun; "" where none could be."""
    if driver.worker_begun is None:
        return ""
    return driver.worker_begun.command
