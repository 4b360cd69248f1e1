"""The small process between skillrun and a command: nothing that the command starts outlives it,
nor skillrun.

    python -I -S supervisor.py REPORT_FD LIFE_FD GRACE_S COMMAND

The standard library only, and nothing of skillrun: it is started by path. A process of its own,
because a subreaper must wait for any child, and would take those of other threads.

- REPORT_FD: one JSON object a line: `started` (pid), `exited` (status), `done` (survivors, left).
- LIFE_FD: skillrun holds the other end and writes nothing. Its end of file means: end everything
  now. So a skillrun
  that is killed takes the command with it.

On Linux orphans are handed to the nearest subreaper (prctl(2)), so every descendant, also one that
called setsid or forked twice, is found under this process in /proc. Elsewhere only the command's
process group can be ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# What ends on its own within this time is no survivor: `> >(tee log)`.
SETTLE_S = 0.25
KILL_S = 5.0
DEFAULT_AGAIN = (
    signal.SIGPIPE,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGXFSZ,
)


class Supervisor:
    """Runs one command and ends what is left of it."""

    def __init__(self, report_fd: int, life_fd: int, grace_s: float) -> None:
        self.report_fd, self.life_fd, self.grace_s = report_fd, life_fd, grace_s
        self.main = 0
        self.main_status: int | None = None
        self.sees_descendants = become_subreaper()
        self.wake_fd = wake_on_signals()

    def run(self, command: str) -> None:
        """Start the command, wait for its end or for the end of skillrun, then leave nothing
        behind.
        """
        self.main, gate = start(command)
        self.report("started", pid=self.main)
        os.close(gate)
        ended_itself = self.wait_for_main()
        survivors = -1
        if self.sees_descendants:
            survivors = 0
        if ended_itself:
            self.report("exited", status=self.main_status)
            survivors = self.settle()
        left = self.end_all()
        self.report("done", status=self.main_status, survivors=survivors, left=left)

    def report(self, event: str, **members: object) -> None:
        """Reports an event to skillrun, as a line of JSON."""
        line = json.dumps({"event": event, **members}) + "\n"
        try:
            os.write(self.report_fd, line.encode())
        except OSError:
            # Skillrun is gone; what is left to do is the same.
            return

    def wait_for_main(self) -> bool:
        """Waits for the command's end. False where skillrun asked for it before it came."""
        while self.reap() and self.main_status is None:
            if self.life_fd in self.sleep():
                self.reap()
                break
        return self.main_status is not None

    def sleep(self) -> list[int]:
        """Waits until a child dies or the end is asked for, and returns the descriptors that are
        readable then.
        """
        ready, _, _ = select.select([self.life_fd, self.wake_fd], [], [])
        if self.wake_fd in ready and any(
            byte != signal.SIGCHLD for byte in os.read(self.wake_fd, 512)
        ):
            # Somebody ends this process: the same as the end of skillrun.
            return [self.life_fd]
        return ready

    def reap(self) -> bool:
        """Takes every dead child. False where no living one is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.main:
                self.main_status = status

    def settle(self) -> int:
        """The number of processes that still run a moment after the command ended; -1 where that
        cannot be seen.
        """
        if not self.sees_descendants:
            return -1
        deadline = time.monotonic() + SETTLE_S
        while running := self.running():
            if time.monotonic() > deadline:
                return len(running)
            time.sleep(0.01)
        return 0

    def running(self) -> list[int]:
        """Every living descendant. A process without a child has none."""
        if not self.reap():
            return []
        return descendants(os.getpid())

    def end_all(self) -> int:
        """Ends every descendant, by SIGTERM and after the grace by SIGKILL. Returns how many could
        not be ended.
        """
        if not self.sees_descendants:
            return self.end_group()
        for pid in self.running():
            send(pid, signal.SIGTERM)
        self.wait_until_none(self.grace_s)
        deadline = time.monotonic() + KILL_S
        while (running := self.running()) and time.monotonic() < deadline:
            # Again and again: they may fork meanwhile.
            for pid in running:
                send(pid, signal.SIGKILL)
            time.sleep(0.002)
        return len(running)

    def wait_until_none(self, seconds: float) -> None:
        """Waits until no descendant runs any more, for so many seconds at most."""
        deadline = time.monotonic() + seconds
        pause = 0.002
        while self.running() and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def end_group(self) -> int:
        """Ends the command's process group, by SIGTERM and after the grace by SIGKILL. Nobody can
        see what is left of it: 0.
        """
        send(-self.main, signal.SIGTERM)
        deadline = time.monotonic() + self.grace_s
        while time.monotonic() < deadline and send(-self.main, 0):
            self.reap()
            time.sleep(0.01)
        send(-self.main, signal.SIGKILL)
        time.sleep(0.01)
        self.reap()
        return 0


def start(command: str) -> tuple[int, int]:
    """Fork the command as the leader of its own process group; it dies with this process. (pid,
    gate).

    It begins when the gate is closed: a command that kills this process at once must be known to
    skillrun by then.
    """
    waits, gate = os.pipe()
    pid = os.fork()
    if pid:
        os.close(waits)
        return pid, gate
    try:
        os.setpgid(0, 0)
        os.close(gate)
        os.read(waits, 1)
        os.close(waits)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in DEFAULT_AGAIN:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.execv("/bin/sh", ["sh", "-c", command])
    finally:
        os._exit(126)


def send(pid: int, number: int) -> bool:
    """Sends a signal. False where it could not be sent, since nobody is there any more."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def descendants(root: int) -> list[int]:
    """Every process below `root`, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - no pathlib: this process should start fast
        if name.isdigit():
            children.setdefault(parent_of(name), []).append(int(name))
    found: list[int] = []
    level = [root]
    while level:
        level = [child for pid in level for child in children.get(pid, [])]
        found += level
    return found


def parent_of(pid: str) -> int:
    """The parent of a process; 0 when it is gone. A dead one counts until it is reaped: its threads
    may live on.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def become_subreaper() -> bool:
    """Has the kernel give all orphaned descendants to this process. False where it cannot, and not
    every descendant can be seen.
    """
    if not sys.platform.startswith("linux") or not prctl(PR_SET_CHILD_SUBREAPER, 1):
        return False
    return os.path.exists(f"/proc/{os.getpid()}/stat")  # noqa: PTH110


def prctl(option: int, value: int) -> bool:
    """Calls the system's prctl with a value. False where it refuses, or is not Linux's."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)


def wake_on_signals() -> int:
    """A file descriptor that becomes readable when a child dies or somebody wants to end this
    process.
    """
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return read_fd


def main(arguments: list[str]) -> None:
    """Entry point; see the module's docstring."""
    report_fd, life_fd, grace_s, command = (
        int(arguments[0]),
        int(arguments[1]),
        float(arguments[2]),
        arguments[3],
    )
    for fd in (report_fd, life_fd):
        os.set_inheritable(fd, False)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    Supervisor(report_fd, life_fd, grace_s).run(command)


if __name__ == "__main__":
    main(sys.argv[1:])
