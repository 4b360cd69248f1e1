"""The zygote: runs in the repository's interpreter, imports the handler once, and forks for each
delivery.

    main(CONTROL_FD)

CONTROL_FD is a Unix socket: JSON lines both ways. The first line is the boot; each later line asks
for a fork, and brings the two descriptors of that delivery's own channel.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import functools
import gc
import importlib
import importlib.machinery
import inspect
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import pages
from .aside import Aside
from .audit import Audit
from .awaiting import finish_call
from .channel import Channel
from .clock import Clock
from .driver import Driver, Probe, load_driver
from .effects import Effect
from .facts import BootFacts, Facts, add_boot
from .gate import Gate, can_ask, hand_over
from .handler import HandlerHook
from .host import Host
from .later import Later
from .logs import Logs, install_printed
from .names import NotThere, find_object, make_ordered_error, put_value
from .plain import PlainDriver
from .recorder import Recorder, close_all
from .sql import SqliteHook
from .starting import begin_by_command, find_consumed, has_timer
from .stores import install_stores

# Bytes that a delivery may write into one file.
_MOST_FILE = 256 * 1024 * 1024
# Children that wait for an order: two deaths may come within the time that one takes to get ready.
_SPARES = 2
# Bytes that a delivery may map; more is a MemoryError in the handler.
_MOST_MEMORY = 6 * 1024**3
LIBC = ctypes.CDLL(None)  # once, before the forks
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class BootFailed(Exception):
    """Why no delivery can run: `what` is handler | effect | error | framework | source
    | value."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(text)
        self.what, self.text = what, text


class Zygote:
    """Holds what every delivery inherits."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control, self.config = control, config
        self.recorder = Recorder(os.path.realpath(config["root"]))
        self.clock = Clock(self.recorder)
        self.logs = Logs(self.recorder)
        self.children: dict[int, int] = {}
        self.spares: list[tuple[int, socket.socket]] = []
        self.unread = b""
        self.fds: list[int] = []
        self.ahead = pages.Ahead()
        self.gated = False

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
        begun = ""
        if driver.worker_begun:
            begun = driver.worker_begun.command
        function = driver.function()
        self._put_values()
        effects = self.hook_effects()
        named = self._try_errors()
        if not hasattr(function, "__code__"):
            raise BootFailed("handler", f"{config['handler']} is no Python function")
        file = function.__code__.co_filename  # before its code is the hook's
        HandlerHook(recorder, driver.CONTROL, named).install(function)
        recorder.make_error = make_ordered_error
        self.logs.install(sets_level=facts.sets_log_level, task_loggers=driver.TASK_LOGGERS)
        self.clock.install()
        self.audit.end_boot()
        self.hooked = driver
        self.imported = frozenset(sys.modules)
        errors = [order["error"] for order in config["errors"]]
        foreign = {effect.name: effect.cannot_raise(errors, recorder.root) for effect in effects}
        return add_boot(
            facts,
            file=file,
            loggers=driver.LOGGERS,
            modules=tuple(module_files(recorder.root)),
            foreign_errors=foreign,
            awaited=tuple(effect.name for effect in effects if effect.is_awaited),
            has_gate=self.gate is not None,
            begun=begun,
            consumed=consumed,
            has_timer=timer,
        )

    def _put_values(self) -> None:
        """Puts the values of `proof.values` in their places. Raises BootFailed."""
        for path, value in self.config["values"].items():
            put = functools.partial(put_value, path, value)
            self.run_of_repository("value", put, f"proof.values: {path}: ")

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

    def _ask_for_timer(self, driver: Driver, facts: Facts) -> bool | None:
        """Whether the repository starts what brings the jobs that are due later; None where none
        are, or it is not known.
        """
        if not facts.timed:
            return None
        starts = self.config["settings"]["starts"]
        is_begun = driver.worker_begun is not None
        return has_timer(driver.WAYS, starts, self.recorder.root, is_begun=is_begun)

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
        self.gate = None
        if can_ask(LIBC):
            self.gate = Gate(config["servers"])
        aside = Aside(config["root"], config["scratch"], config["free"], config["kept"])
        self.sqlite = SqliteHook(recorder, self.clock, aside)
        self.sqlite.install()
        install_stores(recorder, config["servers"])

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

    def load_driver(self) -> Driver:
        """The driver of the job library, or that of plain callables. Raises BootFailed."""
        probe, library = Probe(self.recorder, self.config["settings"]), self.config["library"]
        if library is None:
            return PlainDriver(probe)
        load = functools.partial(load_driver, library, probe)
        driver: Driver = self.run_of_repository("framework", load)
        return driver

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
            where = last_place(error, self.recorder.root)
            if where is not None:
                text = f"{text} ({where})"
            if isinstance(error, PermissionError) and self.audit.is_filtered:
                text += "; this machine gives a proof no network of its own, and then every socket"
                text += " but a Unix one is refused"
            raise BootFailed(what, text) from error

    # -- serving

    def serve(self) -> None:
        """Forks on demand until skillrun hangs up."""
        gc.collect()
        gc.freeze()
        wake = wake_on_children()
        while True:
            asked = []
            if self.gate:
                asked = self.gate.list_watched()
            watched = [self.control.fileno(), wake, *asked]
            # A spare child is made when nobody waits for anything else.
            if len(self.spares) >= _SPARES:
                wait_s = None
            else:
                wait_s = 0
            ready, _, _ = select.select(watched, [], [], wait_s)
            if self.gate:
                self.gate.serve(fd for fd in asked if fd in ready)
            if not ready:
                self.spares.append(self.make_spare())
            if wake in ready:
                os.read(wake, 512)
                self.reap_children()
            if self.control.fileno() in ready and not self.read_orders():
                return

    def read_orders(self) -> bool:
        """Reads what skillrun has sent, and obeys each whole line of it. False once skillrun has
        hung up.
        """
        data, fds, _, _ = socket.recv_fds(self.control, 1 << 20, 8)
        self.fds += fds
        if not data:
            return False
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if order["op"] == "sweep":
                self.end_strays()
            elif order["op"] == "warm":
                self.warm_up(order["names"], order["codes"], order["pages"])
            else:
                self.give_order(order, (self.fds.pop(0), self.fds.pop(0)))
        return True

    def give_order(self, order: dict[str, Any], fds: tuple[int, int]) -> None:
        """Gives an order, and the channel of its delivery, to the child that waits for one."""
        if self.spares:
            pid, wakes = self.spares.pop(0)
        else:
            pid, wakes = self.make_spare()
        data = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(wakes, [data], list(fds))
        if sent < len(data):
            wakes.sendall(data[sent:])
        # Where the gate still awaits something on it, it closes with what it brings.
        if not self.gate or wakes.fileno() not in self.gate.awaited:
            wakes.close()
        for fd in fds:
            os.close(fd)
        self.children[pid] = order["id"]

    def make_spare(self) -> tuple[int, socket.socket]:
        """(pid, where its order goes): the next child is forked before it is asked for."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                self.drop_spares()  # the others' are the zygote's alone
                ours.close()
                if self.gate:
                    self.gate.close_listeners()
                self.wait_for_order(theirs)
            finally:
                os._exit(70)
        theirs.close()
        if self.gate:
            self.gate.await_listener(ours, pid)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return pid, ours

    def drop_spares(self) -> None:
        """Ends the children that wait for an order: they know the state of before."""
        for _, wakes in self.spares:
            if self.gate:
                self.gate.awaited.pop(wakes.fileno(), None)
            wakes.close()
        self.spares.clear()

    def reap_children(self) -> None:
        """Takes note of the children that have ended, and ends what is left of their groups."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            if self.gate:
                self.gate.forget_process(pid)
            if pid in self.children:
                self.send({"exited": self.children.pop(pid), "status": status})

    def warm_up(self, names: list[str], codes: list[str], written: list[list[int]]) -> None:
        """Does once, before further forks, what a delivery told that it did: imports its libraries,
        reads the files that it compared the running code with, and has its pages written.
        """
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self.audit.frames.read_ahead(codes)
        gc.freeze()
        self.ahead = pages.Ahead(written)
        self.drop_spares()

    def end_strays(self) -> None:
        """Ends what a handler left running outside of its process group."""
        if not os.path.isdir("/proc"):
            return
        known = {*self.children, *(pid for pid, _ in self.spares)}
        for name in os.listdir("/proc"):
            # The zygote is a subreaper: who loses its parent becomes its child.
            if name.isdigit() and parent_of(name) == os.getpid() and int(name) not in known:
                with contextlib.suppress(OSError):
                    os.kill(int(name), signal.SIGKILL)

    def send(self, value: dict[str, Any]) -> None:
        """Sends skillrun a line."""
        line = json.dumps(value, default=repr)
        self.control.sendall(line.encode("utf-8", "backslashreplace") + b"\n")

    # -- in the child

    def wait_for_order(self, wakes: socket.socket) -> None:
        """Touches what every delivery touches, while nobody waits for it; then waits for an order,
        and obeys it. Ends where none comes.
        """
        copied = self.ahead.copy_memory()
        prepare_child()
        self.control.close()
        with contextlib.suppress(Exception):
            if not copied:
                self.sqlite.warm_up()
            self.hooked.rehearse()
        if self.gate:
            self.gated = hand_over(LIBC, wakes)
        data, fds = b"", list[int]()
        while not data.endswith(b"\n"):
            chunk, more, _, _ = socket.recv_fds(wakes, 1 << 20, 2)
            if not chunk:
                os._exit(0)
            data, fds = data + chunk, fds + more
        wakes.close()
        self.run_child(json.loads(data), fds)

    def run_child(self, order: dict[str, Any], fds: list[int]) -> None:
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
        self.clock.set_offset(float(order["clock"]))
        jitter = order.get("plan", {}).pop("jitter", None)
        if jitter:
            self.clock.jitter.highest = jitter == "high"
        self.audit.watch_gate(self.gate)
        self.recorder.begin_delivery(channel, order.get("plan") or {})
        self.recorder.emit("began", pid=os.getpid())
        self.later.begin_delivery()
        if self.gate and not self.gated:
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
        self.later.end_delivery(is_last=not order.get("stays"))
        self.audit.end_delivery()
        needs = None
        if order.get("warms"):
            needs = self.collect_needs(order["warms"])
        modules = None
        if order.get("modules"):
            modules = module_files(self.recorder.root)
        alone = not order.get("stays") and self.recorder.is_alone()
        self.recorder.emit(
            "end", modules=modules, needs=needs, clock=self.clock.offset, alone=alone
        )
        if not alone:  # else its channel closes at once
            self.recorder.knock()

    def collect_needs(self, what: str) -> dict[str, Any]:
        """What `warm_up` takes. Of "memory": the pages that this process wrote. Of "libraries":
        what it imported, and the files of which it knows the code.
        """
        if what == "memory":
            return {"what": what, "pages": pages.list_own_memory(), "names": [], "codes": []}
        codes = list(self.audit.frames.codes)
        return {"what": what, "pages": [], "names": self.new_libraries(), "codes": codes}

    def new_libraries(self) -> list[str]:
        """What was imported since the boot, without the repository's own modules: those may mean to
        come late.
        """
        own = set(module_files(self.recorder.root))
        found = []
        # A copy of the list: a look at a module may import another.
        for name, module in list(sys.modules.items()):
            if name in self.imported:
                continue
            file = os.path.realpath(str(getattr(module, "__file__", "") or ""))
            if file[len(self.recorder.root) :] not in own:
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
            self.call_application(lambda: self.hooked.sweep(find_object(args[0])[2]))
        elif op == "publish_each":
            self.publish_each(*args)
        else:
            getattr(self.hooked, op)(*args)

    def publish_each(self, given: list[list[Any]]) -> None:
        """Publishes one after the other; `publishing` comes before each. One that cannot be
        published is an event, and left out.
        """
        for job, arguments in given:
            self.recorder.emit("publishing", job=job)
            self.call_application(functools.partial(self.hooked.publish, *arguments))

    def call_publisher(
        self, path: str, kwargs: dict[str, Any], others: Sequence[tuple[int, dict[str, Any]]] = ()
    ) -> None:
        """The application's own way to publish; then the same for other jobs, (job, arguments)
        each: `publishing` comes before these.
        """
        _, _, function = find_object(path)
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


def prepare_child() -> None:
    """Gives a child its own process group, default signals, and bounds of what it may write."""
    os.setpgid(0, 0)
    # It does not outlive the zygote.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_FILE, _MOST_FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(
            resource.RLIMIT_AS, (_MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1])
        )


def redirect_output(output: str | None) -> None:
    """Lets output and errors go into a file; None: they stay what they are."""
    if output:
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def ignore_bytecode(root: str) -> None:
    """Lets Python run the source alone of the repository's own modules: a `.pyc` beside it may hold
    another program, and Python would believe it.
    """
    loader = importlib.machinery.SourceFileLoader
    read, folder = loader.get_data, os.path.join(root, "")

    def get_data(self: Any, path: str) -> bytes:
        is_own = path.startswith(folder) and "/site-packages/" not in path
        if is_own and path.endswith(".pyc"):
            raise FileNotFoundError(
                errno.ENOENT, "a proof reads no bytecode of the repository", path
            )
        return read(self, path)

    loader.get_data = get_data  # type: ignore[method-assign]


def module_files(root: str) -> list[str]:
    """The repository's files that are imported now, relative to its root."""
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            real = os.path.realpath(path)
            if real.startswith(root) and "/site-packages/" not in real:
                found.add(real[len(root) :])
    return sorted(found)


def last_place(error: BaseException, root: str) -> str | None:
    """The last line of the repository that an exception passed through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename.replace(root, '')}:{error.lineno}"
    trace, place = error.__traceback__, None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        path = os.path.realpath(name)
        if name[:1] != "<" and path.startswith(root) and "/site-packages/" not in path:
            place = f"{path[len(root) :]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def wake_on_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_fd


def parent_of(pid: str) -> int:
    """The parent of a process; 0 where it is not known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # b"4711 (python -m app) S 4700 ...": a name may hold anything, also a bracket.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def prctl(option: int, value: int) -> None:
    """Sets an option of this process; only Linux has such."""
    if sys.platform.startswith("linux"):
        LIBC.prctl(option, value, 0, 0, 0)


def main(control_fd: str) -> None:
    """Boots as the first line on a socket says, sends what was found, and serves until skillrun
    hangs up.
    """
    control = socket.socket(fileno=int(control_fd))
    control.set_inheritable(False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    data = b""
    while not data.endswith(b"\n"):
        chunk = control.recv(1 << 20)
        if not chunk:
            return
        data += chunk
    zygote = Zygote(control, json.loads(data))
    try:
        facts = zygote.boot()
    except BootFailed as failed:
        cause = failed.__cause__
        text = ""
        if cause is not None:
            text = "".join(traceback.format_exception(type(cause), cause, cause.__traceback__))
        zygote.send({"failed": failed.what, "text": failed.text, "trace": text[-4000:]})
        return
    except BaseException as error:
        zygote.send(
            {
                "failed": "probe",
                "text": f"{type(error).__name__}: {error}",
                "trace": traceback.format_exc(),
            }
        )
        return
    zygote.send({"booted": dataclasses.asdict(facts)})
    zygote.serve()
