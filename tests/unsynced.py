"""Commits that do not wait for the disk: nobody cuts the power of a test, and a process that is
killed loses nothing that it has handed to the kernel.

What a test starts as a process of its own waits as it does for users.
"""

from __future__ import annotations

import os

from skillrun.ledger import connection


def leave_disk_alone() -> None:
    """Lets this process, and its forks, write without waiting until it is on the disk."""
    connection.SYNCHRONOUS = "OFF"
    os.fsync = lambda fd: None
