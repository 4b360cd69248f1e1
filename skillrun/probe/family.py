"""The processes that a delivery has below it, and those that are none of its business."""

from __future__ import annotations

import os
from collections.abc import Iterator

_DEEPEST = 64  # children of children that are looked at


def is_own_process(pid: int, is_group: bool) -> bool:
    """Whether it is this process, its group, or what it has started."""
    if pid in (0, os.getpid()):
        return True
    if is_group:
        return pid == os.getpgrp() or (pid > 1 and _is_below(pid))
    return _has_own_group(pid) or _is_below(pid)


def _has_own_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def _is_below(pid: int) -> bool:
    """Whether this process is among those that a process comes from."""
    for _ in range(_DEEPEST):
        pid = _parent_of(pid)
        if pid == os.getpid():
            return True
        if pid <= 1:
            return False
    return False


def _parent_of(pid: int) -> int:
    """0 where it cannot be seen."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def pid_behind(descriptor: int) -> int:
    """The process that a descriptor stands for; -1, which is nobody's own, where it cannot be
    seen.
    """
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name == "Pid":
                    return int(value)
    except (OSError, ValueError):
        return -1
    return -1


def children_commands() -> Iterator[str]:
    """The commands of the processes that this one has, but for those that tidy up."""
    for path in _child_lists():
        with open(path) as file:
            numbers = file.read().split()
        for number in numbers:
            words = _read_command_line(number)
            if words and "multiprocessing.resource_tracker" not in words:
                yield words[:120]


def _child_lists() -> Iterator[str]:
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return
    for thread in threads:
        path = f"/proc/self/task/{thread}/children"
        if os.path.exists(path):
            yield path


def _read_command_line(number: str) -> str:
    """The command line of a process; "" of one that has ended."""
    try:
        with open(f"/proc/{number}/cmdline", "rb") as file:
            return os.fsdecode(file.read()).replace("\0", " ").strip()
    except OSError:
        return ""
