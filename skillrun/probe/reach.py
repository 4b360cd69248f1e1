"""Which servers a proof may speak with: its own, below its own folders or on the loopback of its
sandbox.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LOOPBACK = "127.0.0.1"
_LOG_PORT = 514  # of syslog
_HERE = ("", "localhost", "localhost.localdomain", "ip6-localhost")
# Files of C's own look-ups, such as of a user's name, and the log of the machine: what goes there
# is no effect.
QUIET = (
    "/dev/log",
    "/run/systemd/",
    "/var/run/nscd/",
    "/run/nscd/",
    "/var/lib/sss/",
    "/run/avahi-daemon/",
    "/run/uuidd/",
    "/run/samba/winbindd/",
    "/run/gssproxy/",
    "/var/lib/gssproxy/",
)


class Refusal(OSError):
    """Raised in place of what a proof does not let happen; only as an OSError would it be met by
    others.
    """


class Reach:
    """`servers`: the folders below which the sockets of the proof's own servers are, and
    `127.0.0.1:PORT` of each.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        folders = [server for server in servers if server.startswith("/")]
        self.folders = tuple(os.path.realpath(folder) + "/" for folder in folders)
        self.addresses = frozenset(server for server in servers if not server.startswith("/"))

    def has_address(self, address: Any) -> bool:
        """Whether an address, as `socket.connect` takes it, is one of the proof's own servers."""
        if isinstance(address, tuple) and len(address) > 1:
            return self.has_port(str(address[0]), address[1])
        if not isinstance(address, (str, bytes)) or not address:
            return False
        path = os.fsdecode(address)
        # a name that begins with a zero byte is no file
        return not path.startswith("\0") and os.path.realpath(path).startswith(self.folders)

    def has_port(self, host: str, port: Any) -> bool:
        """Whether one of them listens there."""
        if host.lower() in _HERE:
            name = _LOOPBACK
        else:
            name = host
        return f"{name}:{port}" in self.addresses


def is_quiet(address: Any) -> bool:
    """Whether nothing but a log or a look-up goes to an address. An abstract socket's name is no
    path.
    """
    if not isinstance(address, (str, bytes)):
        return False
    path = os.fsdecode(address)
    return "\0" not in path and os.path.realpath(path).startswith(QUIET)


def is_log_port(address: Any) -> bool:
    """Whether the machine's own log may listen there."""
    if not isinstance(address, tuple) or len(address) < 2 or address[1] != _LOG_PORT:
        return False
    return str(address[0]).lower() in (*_HERE, _LOOPBACK, "::1")


def is_known_name(host: Any) -> bool:
    """Whether nobody has to be asked for the address of a host."""
    if host is None:
        return True
    if isinstance(host, (str, bytes)):
        name = os.fsdecode(host)
    else:
        name = repr(host)
    if name.lower() in _HERE or name == socket.gethostname():
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def name_of(address: Any) -> str:
    """An address for people."""
    if isinstance(address, tuple) and len(address) > 1:
        return f"{address[0]}:{address[1]}"
    if isinstance(address, (str, bytes)):
        return os.fsdecode(address).replace("\0", "@")
    return repr(address)


def make_refusal(address: Any) -> Refusal:
    """As the kernel's own where there is no network; of a file, that it may not be opened."""
    if isinstance(address, (str, bytes)):
        return Refusal(
            errno.EACCES, "skillrun lets a proof reach its own servers alone", name_of(address)
        )
    return Refusal(errno.ENETUNREACH, "Network is unreachable from a proof", name_of(address))


def read_address(data: bytes) -> Any:
    """A sockaddr of C as Python has it; None where it names nobody."""
    if len(data) < 2:
        return None
    family = struct.unpack("=H", data[:2])[0]
    if family == socket.AF_UNIX:
        name = data[2:]
        return os.fsdecode(name if name.startswith(b"\0") else name.partition(b"\0")[0])
    if family == socket.AF_INET and len(data) >= 8:
        return (socket.inet_ntop(family, data[4:8]), struct.unpack("!H", data[2:4])[0])
    if family == socket.AF_INET6 and len(data) >= 24:
        return (socket.inet_ntop(family, data[8:24]), struct.unpack("!H", data[2:4])[0])
    return None
