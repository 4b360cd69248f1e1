"""Is a process waiting for a lock? Read from the kernel, not guessed from a timeout."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import Any

_SAMPLES = 3
_PAUSE_S = 0.001
# Who has said nothing for so long, and is asleep whenever somebody looks, does not work. Clients
# look at their connection now and then while they wait (psycopg ten times a second), and on a busy
# machine two looks of ours are further apart than that.
_LONG_QUIET_S = 3.0
_MORE_SAMPLES, _LONGER_PAUSE_S = 5, 0.002
# nanosleep and clock_nanosleep, on x86-64 and on aarch64: who polls a lock wakes up to look at it
_POLLING = {"35", "230"} if platform.machine() == "x86_64" else {"101", "115"}
# Off Linux only: who reports nothing for so long counts as blocked.
PATIENCE_S = 0.25


def can_see() -> bool:
    """Whether this machine tells what a process waits for."""
    return sys.platform.startswith("linux") and Path("/proc/self/syscall").exists()


def is_blocked(
    pid: int, servers: tuple[int, ...] = (), zygote: int = 0, quiet_s: float = 0.0
) -> bool:
    """All threads are in the same sleep at several looks, and so is every server of the proof that
    may work for them, and the zygote: it is asked before a connection is made, and where the
    machine is busy its answer takes a while. What the zygote has forked is not looked at.

    Sleeping is virtual in a delivery: who really sleeps polls a lock (SQLite's busy handler), or
    waits for one (futex, flock) or for a server that waits for one. Who woke up in between was
    waiting for an answer, and has it. `quiet_s`: for how long it has reported nothing; after a long
    time it may wake up in between, as long as nobody is at work.
    """
    first = _all_asleep(pid, servers, zygote)
    if first is None:
        return False
    if quiet_s > _LONG_QUIET_S:
        return _stay_asleep(pid, servers, zygote)
    for _ in range(_SAMPLES - 1):
        time.sleep(_PAUSE_S)
        if _all_asleep(pid, servers, zygote) != first:
            return False
    return True


def _stay_asleep(pid: int, servers: tuple[int, ...], zygote: int) -> bool:
    """Whether nobody is at work at many looks, whoever woke up in between."""
    for _ in range(_MORE_SAMPLES):
        time.sleep(_LONGER_PAUSE_S)
        if _all_asleep(pid, servers, zygote) is None:
            return False
    return True


def _all_asleep(pid: int, servers: tuple[int, ...], zygote: int) -> list[Any] | None:
    """The sleeps of the process, the zygote and the servers; None where one of them is at work."""
    sleeps: list[Any] = []
    for number in (pid, zygote):
        if number == 0:
            continue
        sleep = _sleeping_in(number)
        if sleep is None:
            return None
        sleeps.append(sleep)
    resting = _resting(servers)
    if resting is None:
        return None
    return [*sleeps, *resting]


def _resting(servers: tuple[int, ...]) -> list[Any] | None:
    """The sleeps of servers and of the processes that they started for clients; None where one of
    them is at work.
    """
    sleeps: list[Any] = []
    for server in servers:
        try:
            if Path(f"/proc/{server}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z":
                continue
            tasks = list(Path(f"/proc/{server}/task").iterdir())
            children = [
                int(child) for task in tasks for child in (task / "children").read_text().split()
            ]
        except OSError:
            continue  # it has ended
        sleep, below = _sleeping_in(server), _resting(tuple(children))
        if sleep is None or below is None:
            return None
        sleeps += [sleep, *below]
    return sleeps


def _sleeping_in(pid: int) -> tuple[tuple[str, str], ...] | None:
    """(system call, which sleep of its life) of each thread; None where one of them runs or cannot
    be seen.
    """
    calls = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            state = (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
            call = (task / "syscall").read_text().split()[0]
            if state != b"S" or call == "running":
                return None
            calls.append((call, "" if call in _POLLING else _sleeps(task)))
    except OSError:
        return None
    return tuple(calls) or None


def _sleeps(task: Path) -> str:
    """How often a thread went to sleep so far."""
    return (task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0]
