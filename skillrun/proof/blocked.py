"""Is a process waiting for a lock? Read from the kernel, not guessed from a timeout."""

from __future__ import annotations

import sys
import time
from pathlib import Path

_SAMPLES = 3
_PAUSE_S = 0.001
PATIENCE_S = 0.25  # off Linux only: who reports nothing for so long counts as blocked


def can_see() -> bool:
    """Whether this machine tells what a process waits for."""
    return sys.platform.startswith("linux") and Path("/proc/self/syscall").exists()


def is_blocked(pid: int, servers: tuple[int, ...] = ()) -> bool:
    """All threads sleep in the same system calls at several looks, and no server of the proof is at work for them.

    Sleeping is virtual in a delivery: who really sleeps polls a lock (SQLite's busy handler), or waits for one (futex,
    flock) or for a server that waits for one.
    """
    first = _sleeping_in(pid)
    if first is None:
        return False
    for _ in range(_SAMPLES - 1):
        time.sleep(_PAUSE_S)
        if _sleeping_in(pid) != first or not all(_rests(server) for server in servers):
            return False
    return True


def _rests(server: int) -> bool:
    """Neither a server nor a process that it started for a client runs or waits for the disk."""
    try:
        if Path(f"/proc/{server}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
            return True
        tasks = list(Path(f"/proc/{server}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return True  # it has ended
    return _sleeping_in(server) is not None and all(_rests(child) for child in children)


def _sleeping_in(pid: int) -> tuple[str, ...] | None:
    """The system call of each thread; None where one of them runs or cannot be seen."""
    calls = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            state = (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
            call = (task / "syscall").read_text().split()[0]
            if state != b"S" or call == "running":
                return None
            calls.append(call)
    except OSError:
        return None
    return tuple(calls) or None
