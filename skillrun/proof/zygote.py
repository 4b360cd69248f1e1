"""The other end of the zygote: starts it, asks for forks, and reads what each delivery reports."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Misuse, Refused
from skillrun.core.opening import read_end
from skillrun.probe.facts import BootFacts, read_facts
from skillrun.proof.unset import find_unset

if TYPE_CHECKING:
    from skillrun.proof.sandbox.sandbox import Sandbox

_SUPERVISOR = Path(__file__).parent.parent / "validations" / "supervisor.py"
_DOOR = Path(__file__).parent.parent / "probe" / "main.py"
# Of all zygotes: a later delivery in another interpreter is a later one.
_HEARD = itertools.count(1)
# An application of thousands of modules is imported in half of it on a busy machine; what takes
# longer waits for something that the sandbox refuses.
BOOT_S = 120.0
_GLANCE_S = 0.5  # between two looks whether the interpreter was stopped
# Bytes of one delivery's events: more is babble.
_MOST_SAID = 64 * 1024 * 1024
_LONGEST_REPORT = 4_096
_STOPPED = (b"T", b"t")  # by a signal, by a tracer: proc_pid_stat(5)


def delivery_s() -> float:
    """How long a delivery may take, in real seconds: SKILLRUN_DELIVERY_S, else 20. Raises Misuse
    for what is none.
    """
    given = os.environ.get("SKILLRUN_DELIVERY_S") or "20"
    try:
        return max(float(given), 0.1)
    except ValueError:
        hint = "unset it, or give e.g. 60"
        raise Misuse(f"SKILLRUN_DELIVERY_S={given}: not a number of seconds", hint=hint) from None


class BootFailed(Refused):
    """The handler cannot be run here: `what` is handler, effect, error, framework, probe."""

    def __init__(
        self, what: str, message: str, *, hint: str | None = None, trace: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.what, self.trace = what, trace


@dataclass
class Running:
    """One forked process as seen from here: its raw events, and whether it stands still or has
    ended.
    """

    id: int
    fd: int  # of its channel
    file: int = -1  # of what it says
    read: int = 0  # bytes of that
    events: list[dict[str, Any]] = field(default_factory=list)
    pid: int = 0  # as it says itself
    outer: int = 0  # the same, as it is known out here; 0: not asked for yet
    paused: bool = False
    closed: bool = False
    stays: bool = False  # it does not end after what it was begun for
    rests: bool = False  # it has done that, and waits
    status: int | None = None  # of waitpid, once it has ended

    @property
    def gone(self) -> bool:
        """Its process has ended, and all that it said is here."""
        return self.status is not None and self.closed

    @property
    def ended(self) -> bool:
        """Nothing more will come of what it was begun for."""
        return self.rests or self.gone

    def leave(self) -> None:
        """Its channel is closed: where it was alone, its memory is all that is left of it."""
        last = self.events[-1] if self.events else {}
        if last.get("alone") and self.status is None:
            self.status = signal.SIGKILL if last["e"] == "fault" else 0

    def listen(self) -> list[dict[str, Any]]:
        """What it has said since the last time. Raises ValueError for what is no event, and for too
        many of them.
        """
        said = b""
        while chunk := os.pread(self.file, 1 << 18, self.read + len(said)):
            said += chunk
            if self.read + len(said) > _MOST_SAID:
                raise ValueError("too many events")
        *lines, half = said.split(b"\n")
        self.read += len(said) - len(half)
        events: list[dict[str, Any]] = json.loads(b"[" + b",".join(lines) + b"]")
        return events

    def note(self, event: dict[str, Any]) -> None:
        """Takes in one event."""
        self.events.append(event)
        if event["e"] == "began":
            self.pid = event["pid"]
        if event["e"] == "fault" and event["do"] == "pause":
            # Until it is resumed: another thread of it may say something more, also after the end.
            self.paused = True
        self.rests = self.rests or (self.stays and event["e"] == "end")

    def close(self) -> None:
        """Nobody listens any more."""
        self.closed = True
        for fd in (self.fd, self.file):
            os.close(fd)

    def resume(self, **order: Any) -> None:
        """Lets a paused process go on. `clock`: by so many seconds later; `then`: the fault that it
        meets at once.
        """
        self.paused = False
        with contextlib.suppress(OSError):
            os.write(self.fd, json.dumps(order).encode() + b"\n")


class Zygote:
    """One interpreter of the target that has imported the handler. Use as a context manager."""

    def __init__(
        self,
        sandbox: Sandbox,
        python: str,
        config: Mapping[str, Any],
        env: Mapping[str, str],
        cwd: Path,
        output: Path,
    ) -> None:
        self.sandbox, self.python, self.config = sandbox, python, config
        self.env, self.cwd, self.output = dict(env), cwd, output
        self.facts = BootFacts()
        self._next = 0
        self._running: dict[int, Running] = {}
        self._unread = b""
        self._life = -1
        self._report = -1
        self._stopped = False
        # Of the interpreter, as it is known out here; 0 where nobody has asked yet.
        self._pid = 0
        self._glanced = 0.0

    def start(self) -> Zygote:
        """Boots it. Raises BootFailed."""
        self.control, theirs = socket.socketpair()
        try:
            with theirs:
                self._spawn(theirs.fileno())
            self.control.sendall(json.dumps(self.config).encode() + b"\n")
            answer = self._answer()
            if "booted" not in answer:
                raise _boot_failed(answer, self.config["root"])
            self.facts = self._read_facts(answer["booted"])
        except BaseException:
            self.stop()
            raise
        self.control.setblocking(False)
        return self

    def _spawn(self, fd: int) -> None:
        report_read, report_write = os.pipe()
        life_read, self._life = os.pipe()
        command = f"exec {shlex.quote(self.python)} -B {shlex.quote(str(_DOOR))} forking {fd}"
        own = [sys.executable, "-I", "-S", "-B", str(_SUPERVISOR)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    *self.sandbox.prefix(self.cwd),
                    *own,
                    str(report_write),
                    str(life_read),
                    "0.2",
                    command,
                ],
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(report_write, life_read, fd),
                start_new_session=True,
            )
        for end in (report_write, life_read):
            os.close(end)
        self._report = report_read

    def _answer(self) -> dict[str, Any]:
        """What it says of its boot."""
        data, deadline = b"", time.monotonic() + BOOT_S
        while not data.endswith(b"\n"):
            if not self._wait_for_answer(deadline):
                return {"failed": "handler", "text": f"importing it took longer than {BOOT_S:g} s"}
            try:
                chunk = self.control.recv(1 << 20)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                return self._ended_early()
            data += chunk
            if len(data) > _MOST_SAID:
                raise self._babbles()
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise self._babbles() from None
        if not isinstance(answer, dict):
            raise self._babbles()
        return answer

    def _read_facts(self, document: object) -> BootFacts:
        try:
            return read_facts(document)
        except ValueError:
            raise self._babbles() from None

    def _wait_for_answer(self, deadline: float) -> bool:
        """Until it says something; False where the time is over. Raises BootFailed where it was
        stopped.
        """
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.control], [], [], _GLANCE_S)
            if ready:
                return True
            self._check_running()
        return False

    @property
    def pid(self) -> int:
        """The interpreter's number out here; 0 where it is gone."""
        if self._pid == 0 and self._report >= 0:
            number = self._read_number()
            if number:
                self._pid = self.sandbox.outer_pid(number)
        return self._pid

    def _read_number(self) -> int:
        """What it reports of itself before anything else; 0 where it is gone. Raises BootFailed
        for anything that is no report, and for one that does not come.
        """
        line, deadline = b"", time.monotonic() + BOOT_S
        while not line.endswith(b"\n"):
            left = max(deadline - time.monotonic(), 0)
            ready, _, _ = select.select([self._report], [], [], left)
            if not ready or len(line) > _LONGEST_REPORT:
                raise self._babbles()
            byte = os.read(self._report, 1)
            if not byte:
                break
            line += byte
        if not line:
            return 0
        try:
            return int(json.loads(line)["pid"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._babbles() from None

    def outer_pid(self, running: Running) -> int:
        """The number out here of a delivery's process; 0 where it is gone, or has not begun."""
        if not running.pid:
            return 0
        if not running.outer:
            running.outer = self.sandbox.outer_child(self.pid, running.pid)
        return running.outer

    def is_stopped(self, running: Running) -> bool:
        """Whether a delivery's process was stopped by a signal: it will not say anything any
        more.
        """
        return _state_of(self.outer_pid(running)) in _STOPPED

    def _check_running(self) -> None:
        """Raises BootFailed where somebody has stopped the interpreter: it will not answer any
        more.
        """
        if time.monotonic() - self._glanced < _GLANCE_S:
            return
        self._glanced = time.monotonic()
        if _state_of(self.pid) in _STOPPED:
            hint = (
                "what the handler's modules start when they are imported must not stop processes"
                " (SIGSTOP)"
            )
            raise BootFailed(
                "probe", "the interpreter of the proof was stopped by a signal", hint=hint
            )

    def _babbles(self) -> BootFailed:
        hint = "code of the repository writes into descriptors that it did not open"
        return BootFailed(
            "probe", "the interpreter of the proof says what the probe never says", hint=hint
        )

    def _ended_early(self) -> dict[str, Any]:
        last = next(iter(reversed(self._tail().strip().splitlines())), "")
        text = f"{self.python} ended while it imported the handler" + (f": {last}" if last else "")
        return {"failed": "handler", "text": text, "trace": self._tail()}

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return read_end(self.output, 4000).decode("utf-8", "replace")
        return ""

    def fork(
        self,
        op: str,
        args: list[Any],
        *,
        clock: float,
        plan: Mapping[str, Any] | None = None,
        modules: bool = False,
        warms: str | None = None,
        stays: bool = False,
    ) -> Running:
        """Starts one process; see probe/forking.py for what it does. `modules`: it tells the
        repository's at its end;
        `warms`: and so much of what `warm` takes. `stays`: it can go on with something else then.

        Raises BootFailed where the interpreter has ended, as all that gives it an order.
        """
        ours, theirs = socket.socketpair()
        file = memory_file()
        self._next += 1
        order = {
            "id": self._next,
            "op": op,
            "args": args,
            "clock": clock,
            "plan": plan or {},
            "modules": modules,
            "warms": warms,
            "stays": stays,
            "output": str(self.output),
        }
        with theirs:
            self._order(order, theirs.fileno(), file)
        ours.setblocking(False)
        running = self._running[self._next] = Running(self._next, ours.detach(), file, stays=stays)
        return running

    def rests(self, running: Running) -> bool:
        """Whether a process that stays is still there."""
        return running.rests and not running.closed and running.status is None

    def go_on(
        self,
        running: Running,
        op: str,
        args: list[Any],
        *,
        clock: float,
        plan: Mapping[str, Any] | None = None,
        stays: bool = False,
    ) -> Running:
        """Gives a process that rests its next order."""
        next_ = Running(
            running.id, running.fd, running.file, running.read, pid=running.pid, stays=stays
        )
        self._running[running.id] = next_
        order = {"op": op, "args": args, "clock": clock, "plan": plan or {}, "stays": stays}
        with contextlib.suppress(OSError):
            os.write(next_.fd, json.dumps(order).encode() + b"\n")
        return next_

    def dismiss(self, running: Running) -> None:
        """Ends a process that rests, and waits for its end."""
        running.rests = False
        if not running.closed:
            running.close()
        self.end(running)

    def hear(self, timeout_s: float) -> bool:
        """Takes in what has arrived, waiting at most so long; whether anything did."""
        open_ = {running.fd: running for running in self._running.values() if not running.closed}
        ready, _, _ = select.select([self.control.fileno(), *open_], [], [], timeout_s)
        if not ready:
            self._check_running()
        hung_up = [open_[fd] for fd in ready if fd in open_ and _hangs_up(fd)]
        # After that, all that was said before it is there.
        heard = self._listen()
        for running in hung_up:
            running.close()
            running.leave()
            self._forget(running)
        if self.control.fileno() in ready:
            self._exits()
        return bool(ready) or heard

    def _listen(self) -> bool:
        """Takes in what the deliveries have said, in the order in which they did; whether there was
        anything.
        """
        said: list[tuple[float, Running, dict[str, Any]]] = []
        try:
            for running in self._running.values():
                if running.closed:
                    continue
                for event in running.listen():
                    said.append((float(event.pop("t")), running, event))
            said.sort(key=lambda one: one[0])
            for _, running, event in said:
                running.note({**event, "heard": next(_HEARD)})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise self._babbles() from None
        return bool(said)

    def _exits(self) -> None:
        try:
            chunk = self.control.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionResetError:  # it ended before it had read all of its orders
            chunk = b""
        if not chunk:
            raise self._ended()
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            try:
                value = json.loads(line)
                running, status = self._running.get(value["exited"]), int(value["status"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise self._babbles() from None
            if running is not None:
                running.status = status
                self._hang_up(running)
                self._forget(running)

    def _hang_up(self, running: Running) -> None:
        """All that a process said before its end is there; what it left running may hold its
        channel open.
        """
        if running.closed:
            return
        self._listen()
        left = not _hangs_up(running.fd)
        running.close()
        if left:
            self.sweep()

    def _forget(self, running: Running) -> None:
        if running.gone:
            self._running.pop(running.id, None)

    def end(self, running: Running) -> None:
        """Kills a process and waits for its end."""
        with contextlib.suppress(OSError):
            pid = self.outer_pid(running)
            if pid:
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5.0
        while not running.gone and time.monotonic() < deadline:
            self.hear(0.05)
            if running.status is not None and not running.closed:
                self.sweep()

    def sweep(self) -> None:
        """Ends what handlers left running."""
        self._order({"op": "sweep"})

    def warm(self, needs: Mapping[str, Any]) -> None:
        """Has it make ready what a delivery said at its end that it needs."""
        self._order({"op": "warm", **needs})

    def _order(self, order: dict[str, Any], *descriptors: int) -> None:
        data = json.dumps(order).encode() + b"\n"
        self.control.setblocking(True)
        try:
            sent = socket.send_fds(self.control, [data], list(descriptors))
            self.control.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None
        self.control.setblocking(False)

    def _ended(self) -> BootFailed:
        return BootFailed(
            "probe", "the interpreter of the proof ended", hint=self._tail()[-300:] or None
        )

    def abandon(self) -> None:
        """Ends the interpreter; whoever works with it, in another thread, gets BootFailed. `stop`
        is still to come.
        """
        life, self._life = self._life, -1
        if life >= 0:
            os.close(life)

    def stop(self) -> None:
        """Ends the interpreter and everything below it."""
        if self._stopped:
            return
        self._stopped = True
        for running in self._running.values():
            if not running.closed:
                with contextlib.suppress(OSError):
                    running.close()
        self._running.clear()
        self.control.close()
        self.abandon()
        if not hasattr(self, "process"):
            return
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._report)


def _boot_failed(answer: Mapping[str, Any], root: str) -> BootFailed:
    hints = {
        "handler": "the handler must import with proof.python and proof.env; try it by hand",
        "effect": (
            "effects[].call is the import path of the adapter, module:function; key_arg is one of"
            " its parameters"
        ),
        "error": (
            "failures lists import paths of exceptions; one that needs arguments: {type: ..., args:"
            " [...]}"
        ),
        "framework": "proof.python must be the interpreter that the worker runs with",
    }
    what, trace = str(answer.get("failed")), str(answer.get("trace") or "")
    if "AppRegistryNotReady" in trace or "DJANGO_SETTINGS_MODULE" in trace:
        hints["handler"] = (
            "say which settings Django has: proof.env: {DJANGO_SETTINGS_MODULE: project.settings}"
        )
    unset = find_unset(trace, root)
    if unset is not None:
        return BootFailed(what, unset.message, hint=unset.hint, trace=trace)
    return BootFailed(what, str(answer.get("text")), hint=hints.get(what), trace=trace)


def memory_file() -> int:
    """A descriptor of a file without a name, in memory where the machine can."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("skillrun")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _hangs_up(fd: int) -> bool:
    """Takes the knocks off a channel; whether its other end is closed."""
    try:
        while os.read(fd, 1 << 12):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _state_of(pid: int) -> bytes:
    """The letter of proc_pid_stat(5); nothing where there is no such process, or no /proc."""
    if not pid:
        return b""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - asked for often
            return file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return b""
