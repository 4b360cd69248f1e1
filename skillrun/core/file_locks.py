"""The system's locks on an open file or folder: they end when their holder closes it, or dies."""

from __future__ import annotations

import fcntl
import time

_LOOK_AGAIN_S = 0.02


def is_locked_by_another(opened: int) -> bool:
    """Whether somebody else holds the lock of an open file. Raises OSError where the file system
    has no locks.

    It is asked by taking the lock: who asks has it then, until it closes the file.
    """
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def wait_for_lock(opened: int, patience_s: float) -> bool:
    """Takes the lock of an open file, after at most `patience_s` seconds. False where somebody
    else keeps it for longer. Raises OSError where the file system has no locks.
    """
    deadline = time.monotonic() + patience_s
    while is_locked_by_another(opened):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(_LOOK_AGAIN_S, left_s))
    return True
