"""What several workers see of a job, its lock and how far it is: files in the scratch folder.

Runs in the zygote, beside the driver. A file outlives a killed process, and a lock on it does not.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import IO, Any


class JobFiles:
    """Of all workers of one schedule. Whoever calls sees to it that nothing of this
    is a boundary.
    """

    def __init__(self, scratch: str) -> None:
        self.folder = os.path.join(scratch, ".procrastinate")

    def write(self, job: Any, text: str) -> None:
        with open(self._find_path(f"job {job}"), "w") as file:
            file.write(text)

    def read(self, job: Any) -> str:
        """ "" where nobody has written anything."""
        with contextlib.suppress(FileNotFoundError):
            with open(self._find_path(f"job {job}")) as file:
                return file.read()
        return ""

    def take_lock(self, name: str, job: Any) -> IO[str]:
        """Waits until no other job has the lock of this name; it is let go when the file is closed.

        A job that was given back is not kept waiting by its own slow worker, and takes another
        turn of its lock.
        """
        turn = 0
        file = open(self._find_path(f"lock {turn} {name}"), "a+")
        while not self._is_taken_for(file, str(job)):
            turn += 1
            file = open(self._find_path(f"lock {turn} {name}"), "a+")
        file.truncate(0)
        file.write(str(job))
        file.flush()
        return file

    def _is_taken_for(self, file: IO[str], job: str) -> bool:
        """Whether the lock was taken, which may take long; not where the job itself has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            if file.read() == job:
                return False
            fcntl.flock(file, fcntl.LOCK_EX)
        return True

    def _find_path(self, name: str) -> str:
        os.makedirs(self.folder, exist_ok=True)
        return os.path.join(self.folder, hashlib.sha256(name.encode()).hexdigest()[:16])
