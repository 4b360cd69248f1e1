"""The few words of RESP2, Redis' protocol, that skillrun needs: it depends on no client library."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from skillrun.proof.services.errors import ServiceFailed

_TIMEOUT_S = 10.0

Word = bytes | str | int
Command = Sequence[Word]
Reply = bytes | int | None | list["Reply"]


class Resp:
    """A connection over a Unix socket. Every method raises ServiceFailed when the server refuses,
    is gone or silent.
    """

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TIMEOUT_S)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise ServiceFailed(f"the private Redis does not answer: {error}") from error
        self._replies = self._socket.makefile("rb")

    def call(self, *words: Word) -> Reply:
        """The reply to one command."""
        return self.pipeline([words])[0]

    def pipeline(self, commands: Iterable[Command]) -> list[Reply]:
        """The replies to all of them, in one round trip. All are read before the first refusal is
        raised.
        """
        sent = list(commands)
        try:
            self._socket.sendall(b"".join(map(_encode_command, sent)))
            replies = [self._read_reply() for _ in sent]
        except (OSError, ValueError) as error:
            raise ServiceFailed(f"the private Redis does not answer: {error}") from error
        for command, reply in zip(sent, replies, strict=True):
            if isinstance(reply, _Refusal):
                raise ServiceFailed(f"the private Redis refuses {command[0]!s}: {reply}")
        return replies

    def close(self) -> None:
        """Both ends of it."""
        with contextlib.suppress(OSError):
            self._replies.close()
        self._socket.close()

    def _read_reply(self) -> Reply:
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            return _Refusal(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._read_bulk(int(rest))
        return self._read_array(int(rest))

    def _read_bulk(self, size: int) -> bytes | None:
        if size < 0:
            return None
        data = self._replies.read(size + 2)
        if len(data) != size + 2:
            raise ConnectionError("the connection was closed")
        return data[:-2]

    def _read_array(self, size: int) -> Reply:
        if size < 0:
            return None
        return [self._read_reply() for _ in range(size)]


def as_text(reply: Reply) -> bytes:
    """A reply that is a text."""
    if not isinstance(reply, bytes):
        raise _unexpected(reply, "a text")
    return reply


def as_number(reply: Reply) -> int:
    """A reply that is a number."""
    if not isinstance(reply, int):
        raise _unexpected(reply, "a number")
    return reply


def as_list(reply: Reply) -> list[Reply]:
    """A reply that is a list."""
    if not isinstance(reply, list):
        raise _unexpected(reply, "a list")
    return reply


def as_texts(reply: Reply) -> list[bytes]:
    """A reply that is a list of texts."""
    return [as_text(one) for one in as_list(reply)]


def _unexpected(reply: Reply, wanted: str) -> ServiceFailed:
    return ServiceFailed(f"the private Redis answers {str(reply)[:80]}, and not with {wanted}")


class _Refusal(bytes):
    """An error reply, which must not be mistaken for data."""

    def __str__(self) -> str:
        return self.decode(errors="backslashreplace")


def _encode_command(command: Command) -> bytes:
    """An array of bulk strings, as every command is sent."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
