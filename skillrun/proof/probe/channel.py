"""JSON lines over one end of a socket pair."""

from __future__ import annotations

import json
import os
from typing import Any


class Channel:
    """Sends and receives JSON values, a line each. What was sent before a kill arrives: the kernel keeps it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._unread = b""

    def send(self, value: dict[str, Any]) -> None:
        """Raises OSError where nobody listens any more."""
        data = json.dumps(value, default=repr).encode("utf-8", "backslashreplace") + b"\n"
        while data:
            data = data[os.write(self.fd, data) :]

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
