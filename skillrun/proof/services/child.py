"""A server process of skillrun's own: nothing of it outlives `stop`, nor skillrun."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.opening import read_end
from skillrun.core.text import visible
from skillrun.proof.services.errors import ServiceFailed

if TYPE_CHECKING:
    from skillrun.proof.sandbox.sandbox import Sandbox

_SUPERVISOR = Path(__file__).parents[2] / "validations" / "supervisor.py"
_GRACE_S = 3.0  # between SIGTERM and SIGKILL
# The supervisor's own limit for ending everything, and some.
_END_S = _GRACE_S + 10.0
# Sun_path of unix(7), without its final zero.
_SOCKET_LIMIT = 107 if sys.platform == "linux" else 103
_SHOWN_LINES = 5
_SHOWN_BYTES = 64 * 1024

# Runs as root until the exec, so that the other user needs to reach neither Python nor skillrun. A
# change of user forgets the death signal that the supervisor had set (prctl(2)), so it is set
# again.
_BECOME = """
import ctypes, os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
os.execv("/bin/sh", ["sh", "-c", sys.argv[3]])
"""


def check_socket_path(path: Path) -> None:
    """Raises ServiceFailed when no Unix socket can have this path."""
    if (size := len(os.fsencode(path))) > _SOCKET_LIMIT:
        raise ServiceFailed(
            f"{visible(str(path))}: a Unix socket's path has at most {_SOCKET_LIMIT} bytes here,"
            f" this one has {size}",
            hint="use a shorter folder: set TMPDIR to one like /tmp",
        )


class Child:
    """One server under the supervisor. Raises ServiceFailed when it cannot be started.

    Start it from a thread that lives on: the end of that thread is taken for skillrun's (prctl(2)).
    `command` is for sh and should end in an `exec`, so that `pid` is the server. `sandbox`: where
    it runs; None: on the machine itself.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *,
        log: Path,
        identity: tuple[int, int] | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.name, self.log, self._sandbox = name, log, sandbox
        self._report_fd, report_end = os.pipe()
        life_end, self._life_fd = os.pipe()
        try:
            self._process = _supervise(command, log, report_end, life_end, identity, sandbox)
        finally:
            os.close(report_end)
            os.close(life_end)
        self.pid = self._read_pid()

    def _read_pid(self) -> int:
        line = b""
        while not line.endswith(b"\n") and (byte := os.read(self._report_fd, 1)):
            line += byte
        if not line:
            self.stop()
            raise self.failed("could not be started")
        pid = int(json.loads(line)["pid"])
        if self._sandbox is None:
            return pid
        return self._sandbox.outer_pid(pid)

    def has_ended(self) -> bool:
        """After `started` the supervisor reports nothing but the end."""
        return self._life_fd < 0 or bool(select.select([self._report_fd], [], [], 0)[0])

    def wait_until(self, answers: Callable[[], bool], seconds: float) -> None:
        """Raises ServiceFailed with the end of the log when the server ends, or does not answer in
        time.
        """
        deadline = time.monotonic() + seconds
        while not answers():
            if self.has_ended():
                raise self.failed("ended while it started")
            if time.monotonic() > deadline:
                raise self.failed(f"did not answer within {seconds:g} s")
            time.sleep(0.001)

    def failed(self, what: str) -> ServiceFailed:
        """The error to raise, with the last lines that the server wrote."""
        lines: list[str] = []
        with contextlib.suppress(OSError):
            lines = read_end(self.log, _SHOWN_BYTES).decode("utf-8", "replace").splitlines()
        said = "; ".join(visible(line.strip()) for line in lines[-_SHOWN_LINES:] if line.strip())
        return ServiceFailed(f"the private {self.name} {what}" + (f": {said}" if said else ""))

    def stop(self, number: int | None = None) -> None:
        """End everything that it started; `number` is a signal that makes this server end faster
        than SIGTERM.
        """
        if self._life_fd < 0:
            return
        if number is not None and not self.has_ended():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        os.close(self._life_fd)
        self._life_fd = -1
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:  # the supervisor hangs: the server has its death signal
            self._process.kill()
            self._process.wait()
        os.close(self._report_fd)


def _supervise(
    command: str,
    log: Path,
    report_end: int,
    life_end: int,
    identity: tuple[int, int] | None,
    sandbox: Sandbox | None,
) -> subprocess.Popen[bytes]:
    """The supervisor in its own session, so that Ctrl-C reaches skillrun alone; nothing of our
    environment goes on.
    """
    own = [
        sys.executable,
        "-I",
        "-S",
        "-B",
        str(_SUPERVISOR),
        str(report_end),
        str(life_end),
        str(_GRACE_S),
    ]
    prefix: list[str] = []
    if sandbox is not None:
        prefix = sandbox.prefix("/", identity)
        # Inside nobody can become somebody else any more, so the change is made on the way in.
        identity = None if sandbox.changes_identity else identity
    with log.open("ab") as output:
        return subprocess.Popen(
            [*prefix, *own, _as(identity, command)],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(report_end, life_end),
            start_new_session=True,
        )


def _as(identity: tuple[int, int] | None, command: str) -> str:
    """The command, run as another user and group where one is given."""
    if identity is None:
        return command
    return exec_line([sys.executable, "-I", "-S", "-c", _BECOME, *map(str, identity), command])


def exec_line(argv: Sequence[str]) -> str:
    """A line for sh that becomes this command."""
    return "exec " + shlex.join(argv)


def unlink_quietly(*paths: Path) -> None:
    """Remove the sockets that a killed server left."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
