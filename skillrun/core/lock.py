"""One invocation of a run at a time: a lock on a file, which the system releases when its holder
dies.
"""

from __future__ import annotations

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from skillrun.core.errors import LedgerUnusable
from skillrun.core.file_locks import wait_for_lock
from skillrun.core.opening import parse_json, read_beginning
from skillrun.core.text import visible


class RunLock:
    """A lock between processes (and between two objects of one process) on `path`.

    The file stays: deleting it would let a third process lock a new one while the second still
    waits for the old.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def __enter__(self) -> RunLock:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Whether the lock is ours now, after at most `wait_s` seconds. Raises LedgerUnusable in a
        read-only place.
        """
        if self._fd is not None:
            return True
        fd = self._open()
        try:
            if not wait_for_lock(fd, wait_s):
                os.close(fd)
                return False
            _write_holder(fd)
        except OSError as error:  # a file system without locks, a full disk
            os.close(fd)
            raise self._unusable(error) from error
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def release(self) -> None:
        """Let the next one in; harmless when not held."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def holder(self) -> str:
        """Who holds the lock, in words, e.g. "process 4711 on this machine, since 14:03:10 UTC (12
        s ago)".

        To be asked after `acquire` returned False; the file alone does not say whether its writer
        still lives.
        """
        try:
            note = parse_json(read_beginning(self.path, 1000))
            pid, since, host = (
                int(note["pid"]),
                datetime.fromisoformat(note["since"]),
                str(note["host"]),
            )
            seconds = round((datetime.now(UTC) - since).total_seconds())
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
        if host == os.uname().nodename:
            place = "this machine"
        else:
            place = visible(host, 100)
        return f"process {pid} on {place}, since {since:%H:%M:%S} UTC ({max(seconds, 0)} s ago)"

    def _open(self) -> int:
        # A pipe under this name would not wait either, but tell nobody who holds it.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A repository may hold a link in the place of the folder: no file is made behind it.
            if self.path.parent.is_symlink():
                raise OSError(errno.ELOOP, "its folder", str(self.path.parent))
            return os.open(self.path, flags, 0o644)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> LedgerUnusable:
        reason = {
            errno.EROFS: "the file system is read-only",
            errno.EACCES: "no permission to write here",
            errno.ELOOP: "it, or its folder, is a symbolic link",
            errno.ENOLCK: "the file system has no locks",
            errno.EOPNOTSUPP: "the file system has no locks",
        }.get(error.errno or 0, error.strerror or str(error))
        return LedgerUnusable(
            f"{visible(str(self.path))}: the run cannot be locked: {reason}",
            hint="keep the ledger where you can write: --ledger FILE or SKILLRUN_LEDGER",
        )


def _write_holder(fd: int) -> None:
    note = {
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": os.uname().nodename,
    }
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps(note).encode(), 0)
