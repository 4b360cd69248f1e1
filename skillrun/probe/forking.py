"""The zygote: runs in the repository's interpreter, imports the handler once, and forks for each
delivery.

    main(CONTROL_FD)

CONTROL_FD is a Unix socket: JSON lines both ways. The first line is the boot; each later line asks
for a fork, and brings the two descriptors of that delivery's own channel.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import json
import os
import select
import signal
import socket
import traceback
from typing import Any

from . import pages
from .booting import Booted, BootFailed
from .gate import Gate, hand_over
from .obeying import Child
from .own_process import (
    LIBC,
    PR_SET_CHILD_SUBREAPER,
    find_parent,
    prctl,
    prepare_child,
    wake_on_children,
)

# Children that wait for an order: two deaths may come within the time that one takes to get ready.
_SPARES = 2


class Zygote:
    """Forks deliveries from a booted process, on demand."""

    def __init__(self, control: socket.socket, booted: Booted) -> None:
        self.control, self.booted = control, booted
        self.children: dict[int, int] = {}
        self.spares: list[tuple[int, socket.socket]] = []
        self.unread = b""
        self.fds: list[int] = []
        self.ahead = pages.Ahead()

    @property
    def gate(self) -> Gate | None:
        """Who answers for the deliveries' connections; None where the kernel asks about none."""
        return self.booted.gate

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
        self.booted.audit.frames.read_ahead(codes)
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
            if name.isdigit() and find_parent(name) == os.getpid() and int(name) not in known:
                with contextlib.suppress(OSError):
                    os.kill(int(name), signal.SIGKILL)

    def send(self, value: dict[str, Any]) -> None:
        """Sends skillrun a line."""
        line = json.dumps(value, default=repr)
        self.control.sendall(line.encode("utf-8", "backslashreplace") + b"\n")

    def wait_for_order(self, wakes: socket.socket) -> None:
        """Touches what every delivery touches, while nobody waits for it; then waits for an order,
        and obeys it. Ends where none comes.
        """
        copied = self.ahead.copy_memory()
        prepare_child()
        self.control.close()
        with contextlib.suppress(Exception):
            if not copied:
                self.booted.sqlite.warm_up()
            self.booted.driver.rehearse()
        has_gate = self.gate is not None and hand_over(LIBC, wakes)
        data, fds = b"", list[int]()
        while not data.endswith(b"\n"):
            chunk, more, _, _ = socket.recv_fds(wakes, 1 << 20, 2)
            if not chunk:
                os._exit(0)
            data, fds = data + chunk, fds + more
        wakes.close()
        Child(self.booted, has_gate=has_gate).run(json.loads(data), fds)


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
    booted = Booted(json.loads(data))
    zygote = Zygote(control, booted)
    try:
        facts = booted.boot()
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
