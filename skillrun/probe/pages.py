"""The memory that a delivery writes: its pages are copied all at once, while the process waits for
its order.

A forked process shares its memory until it writes, and in Python whoever looks at an object writes
to it. So each delivery has two thousand pages copied, with a fault for each, and nearly the same
ones each time. Which ones is seen in one delivery; those that are forked later ask the kernel for
them, which takes it half the time. This needs Linux 6.13; elsewhere nothing happens.
"""

from __future__ import annotations

import array
import bisect
import contextlib
import ctypes
import errno
import itertools
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence

# The system call on every architecture, and what madvise(2) is asked for.
_PROCESS_MADVISE, _POPULATE_WRITE = (
    440,
    23,
)
_MOST = 1024  # ranges of one call: IOV_MAX
_ALONE = 1 << 56  # in pagemap of proc(5): no other process has this page
_LIBC = ctypes.CDLL(None, use_errno=True)
Range = tuple[int, int]  # address, bytes


class _Range(ctypes.Structure):
    _fields_ = (("address", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


def list_own_memory() -> list[Range]:
    """The memory that no other process shares; none where the kernel does not tell."""
    found: list[Range] = []
    with contextlib.suppress(OSError), open("/proc/self/pagemap", "rb", buffering=0) as file:
        for begin, end in _list_writable():
            file.seek(begin // mmap.PAGESIZE * 8)
            flags = array.array("Q", file.read((end - begin) // mmap.PAGESIZE * 8))
            found += _join_neighbours(
                begin + number * mmap.PAGESIZE for number, flag in enumerate(flags) if flag & _ALONE
            )
    return found


def _join_neighbours(pages: Iterable[int]) -> list[Range]:
    """Neighbours in one range."""
    found: list[Range] = []
    for address in pages:
        if found and sum(found[-1]) == address:
            found[-1] = (found[-1][0], found[-1][1] + mmap.PAGESIZE)
        else:
            found.append((address, mmap.PAGESIZE))
    return found


def _list_writable() -> Iterator[tuple[int, int]]:
    """(begin, end) of this process's private memory."""
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        for line in maps:
            where, rights, *_ = line.split()
            if rights == "rw-p":
                begin, _, end = where.partition("-")
                yield int(begin, 16), int(end, 16)


class Ahead:
    """What a forked process will write; `ranges` is what another one wrote."""

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        mine = list(_list_writable())
        there = []
        for at, size in ranges:
            if any(b <= at and at + size <= end for b, end in mine):
                there.append(_Range(at, size))
        self.ranges = (_Range * len(there))(*there)
        # Bytes before each range.
        self.before = [
            0,
            *itertools.accumulate(int(one.bytes) for one in there),
        ]

    def copy_memory(self) -> bool:
        """Makes it this process's own, as writing to it would; whether that can be done, and there
        is any.

        What is no memory any more is passed over.
        """
        if not len(self.ranges):
            return False
        try:
            fd = os.pidfd_open(os.getpid())
        except OSError:
            return False
        try:
            return self._copy_ranges(fd)
        finally:
            os.close(fd)

    def _copy_ranges(self, fd: int) -> bool:
        at = 0
        while at < len(self.ranges):
            done = self._ask_kernel(fd, at)
            if done < 0 and ctypes.get_errno() != errno.ENOMEM:
                return False
            there = bisect.bisect_right(self.before, self.before[at] + max(done, 0)) - 1
            if there == at + _MOST:
                at = there
            else:
                at = there + 1
        return True

    def _ask_kernel(self, fd: int, at: int) -> int:
        """How many bytes of the ranges from `at` on were copied; -1 where the first of them could
        not be.
        """
        part = ctypes.byref(self.ranges, at * ctypes.sizeof(_Range))
        many = ctypes.c_size_t(min(_MOST, len(self.ranges) - at))
        return int(_LIBC.syscall(_PROCESS_MADVISE, fd, part, many, _POPULATE_WRITE, 0))
