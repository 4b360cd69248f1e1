"""What the handler does to the world besides its declared effects, seen through CPython's audit
events.

Each is said, with the line, and then refused where it would reach beyond the proof: an audit hook
that raises has the interpreter raise in place of the call.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

from .aside import path_and_mode
from .family import children_commands, is_own_process, pid_behind
from .files import CHANGES, COPYING, IN_SCRATCH, LOGS, METRICS, Door, Files
from .frames import Frames
from .gate import Gate, Refused
from .reach import Reach, Refusal, is_known_name, is_log_port, is_quiet, make_refusal, name_of
from .recorder import Recorder
from .swap import replace_everywhere

Event = tuple[Any, ...]

_PROCESS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "pty.spawn",
)
_FORK = ("os.fork", "os.forkpty")
_MAIL = (
    "smtplib.connect",
    "ftplib.connect",
    "imaplib.open",
    "poplib.connect",
    "telnetlib.Telnet.open",
)
_ADDRESSED = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
_NAMED = ("socket.getaddrinfo", "socket.gethostbyname")
_NATIVE = ("ctypes.dlopen", "sqlite3.enable_load_extension")
_SIGNALS = ("os.kill", "os.killpg")
_LOCAL_URLS = ("file:", "data:")
# They start a process to learn something about the machine, or to tidy up behind this one.
_ASKING = ("platform", "uuid", "ctypes.util", "multiprocessing.resource_tracker")
# A call of C that nobody can replace raises it: that of a method of a built-in type.
_OF_A_METHOD = "code.__new__"
_INTERPRETERS = ("_interpreters", "_xxsubinterpreters")
_INTERPRETER = "an interpreter of its own"
_HOOKED_SQLITE = (f"{__package__}.sql",)


def _name_family(number: int) -> str:
    try:
        return socket.AddressFamily(number).name
    except ValueError:
        return f"family {number}"


def may_make_unix_sockets_alone() -> bool:
    """Whether a filter of system calls refuses every other socket; see sandbox/kernel.py."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


class Audit:
    """Reports connections, processes and written files of the handler, and refuses them."""

    def __init__(
        self,
        recorder: Recorder,
        scratch: str,
        free: list[str],
        servers: list[str],
        shared: str | None = None,
    ) -> None:
        """`scratch`: files there are the job's store. `free`: TMPDIR, the home, and folders that
        are nobody's business.

        `servers`: the folders below which the sockets of the proof's own servers are.
        `shared`: the folder of shared memory, where it is the sandbox's own.
        """
        self.recorder, self.frames, self.reach = recorder, Frames(recorder), Reach(servers)
        own = {"tmp": free[0], "home": free[1]}
        self.frames.locate_modules((*METRICS, *LOGS, *COPYING, *_ASKING, *_HOOKED_SQLITE))
        self.files = Files(
            recorder, self.frames, self.tell_undeclared, scratch, own, tuple(free[2:]), shared
        )
        recorder.is_own_server = self.reach.has_address
        recorder.before_passing = self._before_passing
        recorder.after_passing = self._after_passing
        # Pages that ended children of this process have asked for.
        self.faults = 0
        self.has_asked = False  # a process was let begin
        self.booting = (
            False  # the repository is being imported: what it opens then, a delivery may use
        )
        # A function of the repository's runs at a fork, before a delivery.
        self.forking = False
        # Descriptors that a delivery begins with.
        self.known: set[int] = set()
        self.refused: Refused | None = None
        self.heard = False  # the trial of the hook itself
        self.works = self._map_events()

    def _map_events(self) -> dict[str, Callable[[str, Event], None]]:
        """What is done at each event that matters."""
        works: dict[str, Callable[[str, Event], None]] = {
            "open": lambda _, args: self.files.see_open(args)
        }
        works |= dict.fromkeys(CHANGES, self.files.see_change)
        works |= dict.fromkeys(_ADDRESSED, lambda _, args: self.see_connection(args[1]))
        works |= dict.fromkeys(_NAMED, self.see_look_up)
        works |= dict.fromkeys(
            _MAIL, lambda _, args: self.tell_and_refuse("mail", name_of(args[1:3]))
        )
        works |= dict.fromkeys(
            _PROCESS, lambda _, args: self.see_process(name_of(args[0] or args[1]))
        )
        works |= dict.fromkeys(_FORK, lambda event, _: self.see_process(event))
        works |= dict.fromkeys(_NATIVE, self.see_native_code)
        works |= dict.fromkeys(_SIGNALS, self.see_signal)
        works["fcntl.flock"] = lambda _, args: self.files.see_lock(args[0])
        works[_OF_A_METHOD] = lambda *_: setattr(self, "heard", True)
        works["cpython.PyInterpreterState_New"] = lambda *_: self.see_process(_INTERPRETER)
        works["socket.__new__"] = lambda _, args: self.made_socket(args)
        works["sqlite3.connect"] = lambda _, args: self.opened_database(args[0])
        works["urllib.Request"] = lambda _, args: self.see_request(name_of(args[0]))
        return works

    def install(self, boots: bool = False) -> None:
        """Once. An audit hook cannot be taken back; it is idle in the zygote once that has
        booted.
        """
        self.booting = boots
        self.is_filtered = may_make_unix_sockets_alone()
        self._begin = self.recorder.begin_delivery
        self.recorder.begin_delivery = self.begin_delivery  # type: ignore[method-assign]
        self.files.install()
        self._watch_unheard()
        sys.addaudithook(self.see_event)

    def can_hear(self) -> bool:
        """Whether the hook is in force: code that ran before it, such as a sitecustomize, may have
        put something else in the place of `sys.addaudithook`, or of `sys.audit`.
        """
        was_booting, self.booting, self.heard = self.booting, True, False
        self.can_hear.__func__.__code__.replace()  # type: ignore[attr-defined]
        self.booting = was_booting
        return self.heard

    def see_event(self, event: str, args: Event) -> None:
        """Called by the interpreter for every audit event."""
        work = self.works.get(event)
        watched = self.booting or self.forking or self.recorder.channel is not None
        if work is None or not watched:
            return
        if event == "open" or event in CHANGES:
            self.files.announce_write(event, args)
        elif event == "sqlite3.connect":
            self._announce_database(args[0])
        if self.is_silent():
            self.has_asked = self.has_asked or event in _PROCESS or event in _FORK
            return
        work(event, args)

    def _announce_database(self, database: Any) -> None:
        if isinstance(database, (str, bytes, os.PathLike)):
            path, _ = path_and_mode(os.fsdecode(database))
            self.files.listing.announce_database(os.path.realpath(path))

    def is_silent(self) -> bool:
        """Whether this thread is inside of a hook, or of a library's own work that is reported in
        another way.
        """
        return self.recorder.quiet_depth > self.recorder.log_depth

    def _watch_unheard(self) -> None:
        """Calls of C that raise no event."""
        import _posixsubprocess

        self._watch_function(
            _posixsubprocess, "fork_exec", lambda args: self.see_process(_show_command(args[0]))
        )
        self._watch_function(signal, "pidfd_send_signal", self._signalled_by_descriptor)
        self._watch_function(os, "mkfifo", lambda args: self._see_made_file(args[0]))
        self._watch_function(os, "mknod", lambda args: self._see_made_file(args[0]))
        for name in _INTERPRETERS:  # from Python 3.12 on they raise no event
            with contextlib.suppress(ImportError):
                own = importlib.import_module(name)
                self._watch_function(
                    own, "create", lambda args: self.see_process(_INTERPRETER), bare=True
                )
        with contextlib.suppress(ImportError):  # it is not everywhere
            shared = importlib.import_module("_posixshmem")
            self._watch_function(
                shared, "shm_open", lambda args: self._made_shared(str(args[0]), args[1])
            )

    def _watch_function(
        self, owner: Any, name: str, look: Callable[[Event], None], bare: bool = False
    ) -> None:
        """`bare`: a call without arguments matters too."""
        real = getattr(owner, name, None)
        if real is None:
            return

        def call(*args: Any, **kwargs: Any) -> Any:
            watched = self.booting or self.recorder.channel is not None
            if (args or bare) and watched and not self.is_silent():
                look(args)
            return real(*args, **kwargs)

        replace_everywhere(owner, name, Door(call))

    def _see_made_file(self, path: Any) -> None:
        name = self.files.real_name(path)
        if name is not None:
            self.files.see_write(name)

    def _made_shared(self, name: str, flags: int) -> None:
        self.files.listing.announce_name("/dev/shm/" + name.lstrip("/"))
        if flags & os.O_CREAT:
            self.files.note_left("/dev/shm/" + name.lstrip("/"))

    # -- the beginning and the end of a delivery

    def end_boot(self) -> None:
        """The repository has been imported: what it still holds is said in each delivery."""
        self.booting = False
        for name, place in self.files.list_held():
            self._tell_early("file", name, place)
        for where in self._foreign_peers():
            self._tell_early("network", f"{where}, opened at import", None)
        for words in children_commands():
            self._tell_early("process", f"{words}, started at import", None)

    def _tell_early(self, kind: str, detail: str, place: Any) -> None:
        self.recorder.early.append({"kind": kind, "detail": detail[:200], "place": place})

    @contextlib.contextmanager
    def at_fork(self) -> Iterator[None]:
        """What happens inside is told by the delivery whose process is being made."""
        self.forking = self.files.forking = self.recorder.channel is None and not self.booting
        try:
            yield
        finally:
            self.forking = self.files.forking = False

    def begin_delivery(self, channel: Any, plan: Any) -> None:
        """As the recorder's."""
        self.known = set(_list_sockets())
        self._begin(channel, plan)
        with self.recorder.quiet():
            self.files.listing.begin_delivery()
        self.faults, self.has_asked = _faults_of_children(), False

    def watch_gate(self, gate: Gate | None) -> None:
        """Before a delivery begins: what the gate refuses it is told as well."""
        if gate is not None and self.refused is None:
            self.refused = Refused(gate.told, lambda where: self.tell_undeclared("network", where))
        if self.refused is not None:
            self.refused.begin_delivery()

    def end_delivery(self) -> None:
        """At the end of a delivery: files that stay, and connections that nothing else has seen."""
        if self.refused is not None:
            self.refused.tell_new()
        with self.recorder.quiet():
            self.files.tell_left()
            self._collect_children()
            for where in self._foreign_peers():
                self.recorder.emit("undeclared", kind="network", detail=where[:200], place=None)

    def _collect_children(self) -> None:
        """A process that C code began and waited for."""
        if _faults_of_children() != self.faults and not self.has_asked:
            what = "one that C code started and waited for"
            self.recorder.emit("undeclared", kind="process", detail=what, place=None)

    def _before_passing(self) -> None:
        """A declared effect is passed through: what it does is no more to be told."""
        with self.recorder.quiet():
            self.files.listing.collect_changes()
            self._collect_children()

    def _after_passing(self) -> None:
        with self.recorder.quiet():
            self.files.listing.remember_state()
        self.faults = _faults_of_children()

    def _foreign_peers(self) -> Iterator[str]:
        for fd in _list_sockets():
            if fd not in self.known:
                peer = _find_peer(fd)
                if peer and not self.reach.has_address(peer) and not is_quiet(peer):
                    yield name_of(peer)

    # -- what is seen

    def see_connection(self, address: Any) -> None:
        """A socket is about to have an address."""
        if address is None or self.reach.has_address(address):
            return
        acts = self.forking or self.recorder.is_own_act
        if self.booting or (self._is_quiet(address) and acts):
            # It is no effect, but it would reach somebody's server.
            raise make_refusal(address)
        self.tell_and_refuse("network", name_of(address), make_refusal(address))

    def _is_quiet(self, address: Any) -> bool:
        """Whether nothing but a log or a look-up goes there: the machine's own log has a port,
        too.
        """
        return is_quiet(address) or (is_log_port(address) and self.frames.is_done_by(LOGS))

    def see_look_up(self, event: str, args: Event) -> None:
        """The address of a host is asked for."""
        if not is_known_name(args[0]):
            self.tell_and_refuse(
                "network",
                name_of(args[0]),
                socket.gaierror(socket.EAI_AGAIN, "a proof asks no name server"),
            )

    def made_socket(self, args: Event) -> None:
        """Without a network of its own a proof may make Unix sockets alone: the kernel refuses any
        other one before it could ask for an address, so that no later event says what was meant.
        """
        family = int(args[1])
        if self.booting or not self.is_filtered or family == socket.AF_UNIX:
            return
        name = _name_family(family)
        words = "a proof without a network of its own makes Unix sockets alone"
        self.tell_and_refuse("network", f"a socket of {name}", Refusal(errno.EACCES, words, name))

    def see_request(self, url: str) -> None:
        """`urllib` is about to ask for something."""
        if not url.startswith(_LOCAL_URLS) and not self.recorder.hanging:
            self.tell_and_refuse("network", url)

    def see_process(self, words: str) -> None:
        """A process is about to begin."""
        if self.booting or self.recorder.effect_depth or self.frames.is_done_by(_ASKING):
            self.has_asked = True
            # What is still there when the repository has been imported is said then.
            return
        if self.recorder.is_caller or not (self.forking or self.recorder.is_own_act):
            self.has_asked = True
            return  # it publishes: what else it does is not judged
        self.tell_and_refuse(
            "process", words, Refusal(errno.EACCES, "a proof starts no process", words)
        )

    def see_signal(self, event: str, args: Event) -> None:
        """A process is about to be ended, or told something. Whoever asks whether one is there
        tells it nothing.
        """
        pid, number = int(args[0]), int(args[1])
        is_group = event == "os.killpg" or pid < 0
        if number == 0 or is_own_process(abs(pid), is_group):
            return
        words = f"signal {number} to process {'group ' if is_group else ''}{abs(pid)}"
        self.tell_and_refuse(
            "process", words, Refusal(errno.EPERM, "a proof signals its own processes alone", words)
        )

    def _signalled_by_descriptor(self, args: Event) -> None:
        if len(args) > 1:
            self.see_signal("os.kill", (pid_behind(args[0]), args[1]))

    def see_native_code(self, event: str, args: Event) -> None:
        """Native code does what no hook sees. What a library of Python loads for itself is that
        library's.
        """
        if not self.frames.is_called_by_us():
            return
        if event.startswith("sqlite3"):
            what = "an extension of SQLite"
        else:
            what = f"ctypes {name_of(args[0] or 'libc')}"
        if event.startswith("sqlite3") and not args[1]:
            return
        if self.booting:
            self._tell_early("native code", f"{what}, loaded at import", self.recorder.find_place())
        else:
            self.tell_undeclared("native code", what)

    def opened_database(self, database: Any) -> None:
        """A connection that was not made by `sqlite3.connect`: what is done with it is not seen."""
        name = name_of(database)
        if name in ("", ":memory:") or self.frames.is_done_by(_HOOKED_SQLITE):
            return
        what = f"{name}, by sqlite3.Connection"
        if self.booting:
            self._tell_early("store", f"{what}, opened at import", self.recorder.find_place())
        else:
            self.tell_and_refuse(
                "store", what, Refusal(errno.EACCES, "use sqlite3.connect in a proof", name)
            )

    def tell_and_refuse(self, kind: str, detail: str, error: OSError | None = None) -> None:
        """Tells, and refuses. What the library does by itself is let through."""
        if self.forking:
            self._tell_early(kind, f"{detail}, at a fork", self.recorder.find_place())
        elif self.recorder.hanging and kind == "mail":
            return  # it is about to connect, and that waits in vain
        elif not self.recorder.is_own_act:
            return
        elif not self.frames.is_done_by(METRICS):
            # What is left is no count: one is no effect, and reaches nobody.
            self.recorder.emit(
                "undeclared", kind=kind, detail=detail[:200], place=self.recorder.find_place()
            )
        raise error or Refusal(errno.ENETUNREACH, "Network is unreachable from a proof", detail)

    def tell_undeclared(self, kind: str, detail: str, **more: str) -> bool:
        """Whether it is anything to tell: a declared effect that is passed through is none, nor the
        library's work. `more`: what else the event says.
        """
        if self.forking:
            self._tell_early(kind, f"{detail}, at a fork", self.recorder.find_place())
            return True
        # What an effect leaves in the scratch is state, as a row is that it writes.
        is_hidden = self.recorder.effect_depth and not detail.startswith(IN_SCRATCH)
        if is_hidden or not self.recorder.is_own_act:
            return False
        if self.recorder.effect_depth:
            more["effect"] = self.recorder.effect_inside
        self.recorder.emit(
            "undeclared", kind=kind, detail=detail[:200], place=self.recorder.find_place(), **more
        )
        return True


def _faults_of_children() -> int:
    """Of those that have ended and were waited for: each has some."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt


def _show_command(args: Any) -> str:
    return " ".join(name_of(word) for word in list(args)[:4])


def _list_sockets() -> Iterator[int]:
    """The descriptors of this process that are sockets."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for name in names:
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                yield int(name)
        except OSError:
            continue  # that of the listing itself


def _find_peer(fd: int) -> Any:
    """Whom a socket is connected with; None for nobody, and for a pair of this process's own."""
    with socket.socket(fileno=os.dup(fd)) as held:
        try:
            return held.getpeername() or None
        except OSError:
            return None
