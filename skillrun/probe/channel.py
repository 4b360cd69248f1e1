"""What a delivery says, and what it is told: JSON lines in a file, and over one end of a socket
pair.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

_real_monotonic = time.monotonic_ns
_encode = json.JSONEncoder(default=repr).encode


class Channel:
    """Sends and receives JSON values, a line each. What was sent before a kill is in the file: the
    kernel keeps it.

    Nobody is woken by what is sent: waking skillrun takes longer than most of what a delivery does
    between two events.
    """

    def __init__(self, fd: int, file: int) -> None:
        self.fd, self.file = fd, file
        self._unread = b""

    def send(self, value: dict[str, Any]) -> None:
        """`t`: the machine's monotonic clock in ns, which tells the order of several deliveries'
        events.

        Raises OSError where there is no file any more.
        """
        data = (
            _encode({**value, "t": _real_monotonic()}).encode("utf-8", "backslashreplace") + b"\n"
        )
        while data:
            data = data[os.write(self.file, data) :]

    def knock(self) -> None:
        """Wakes skillrun: it is to read what was sent. Raises OSError where nobody listens any
        more.
        """
        os.write(self.fd, b"\n")

    def receive(self) -> dict[str, Any] | None:
        """The next value; None at the end."""
        while b"\n" not in self._unread:
            chunk = os.read(self.fd, 1 << 16)
            if not chunk:
                return None
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value
