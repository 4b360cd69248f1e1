"""What a process sets of its own, and asks the system about others."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

LIBC = ctypes.CDLL(None)  # once, before the forks
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Bytes that a delivery may write into one file.
_MOST_FILE = 256 * 1024 * 1024
# Bytes that a delivery may map; more is a MemoryError in the handler.
_MOST_MEMORY = 6 * 1024**3


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


def wake_on_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_fd


def find_parent(pid: str) -> int:
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
