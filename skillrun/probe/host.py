"""The name of the machine, as a worker on another one would see it."""

from __future__ import annotations

import os
import platform
import socket
from typing import Any

from .files import Door
from .frames import Frames
from .swap import replace_everywhere, swap_code


class Host:
    """What a library asks for itself stays as it is: only the repository's code gets the name."""

    def __init__(self, frames: Frames, name: str) -> None:
        self.frames, self.name = frames, name

    def install(self) -> None:
        """Once, before the repository is imported."""
        real_hostname, real_uname = socket.gethostname, os.uname

        def gethostname() -> str:
            if self.frames.is_called_by_us():
                return self.name
            return real_hostname()

        def uname() -> Any:
            seen = real_uname()
            if not self.frames.is_called_by_us():
                return seen
            return os.uname_result((seen.sysname, self.name, *seen[2:]))

        def node() -> str:
            if self.frames.is_called_by_us():
                return self.name
            return str(before())

        replace_everywhere(socket, "gethostname", Door(gethostname))
        replace_everywhere(os, "uname", Door(uname))
        before = swap_code(platform.node, node)
