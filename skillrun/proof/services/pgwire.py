"""The few messages of PostgreSQL's protocol 3.0 that skillrun needs: it depends on no client
library and no psql.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from skillrun.proof.services.errors import ServiceFailed

_TIMEOUT_S = 30.0
_PROTOCOL = 196608  # 3.0
_TO_VALUE: dict[int, Callable[[str], Value]] = {
    16: lambda text: text == "t",
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys((700, 701), float),
}

Value = str | int | float | bool | None
Row = list[Value]


class Session:
    """One connection over a Unix socket, for simple queries. Every method raises ServiceFailed.

    `settings` are the server's, for this connection only.
    """

    def __init__(self, path: Path, *, user: str, database: str, settings: dict[str, str]) -> None:
        self._pending = 1
        # Of each column of the last rows: the OID of its table and its number there; (0, 0) where
        # it is no column of one. The server looks through joins and subqueries, through no view.
        self.origins: list[tuple[int, int]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_TIMEOUT_S)
        self._input = self._socket.makefile("rb")
        try:
            self._socket.connect(str(path))
            self._socket.sendall(_startup({"user": user, "database": database, **settings}))
        except OSError as error:
            self.close()
            raise ServiceFailed(f"the private PostgreSQL does not answer: {error}") from error
        try:
            self.finish()
        except BaseException:
            self.close()
            raise

    def run(self, sql: str) -> list[Row]:
        """The rows of the last statement, once everything sent before is done."""
        self.finish()
        self.send(sql)
        return self._answer()

    def send(self, sql: str) -> None:
        """Let the server work on it; what goes wrong is raised by the next `run` or `finish`."""
        message = sql.encode() + b"\0"
        try:
            self._socket.sendall(b"Q" + struct.pack("!i", len(message) + 4) + message)
        except OSError as error:
            raise ServiceFailed(f"the private PostgreSQL does not answer: {error}") from error
        self._pending += 1

    def finish(self) -> None:
        """Wait for what was sent."""
        while self._pending:
            self._answer()

    def close(self) -> None:
        """Tell the server, so that its process for this connection ends."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"X" + struct.pack("!i", 4))
        self._input.close()
        self._socket.close()

    def _answer(self) -> list[Row]:
        rows: list[Row] = []
        types: list[int] = []
        refused: str | None = None
        while (message := self._read())[0] != b"Z":
            kind, body = message
            if kind == b"T":
                types, rows = _column_types(body), []
                self.origins = _column_origins(body)
            elif kind == b"D":
                rows.append(_row(body, types))
            elif kind == b"E":
                refused = _error(body)
            elif kind == b"G":  # COPY FROM STDIN
                self._socket.sendall(b"f" + struct.pack("!i", 5) + b"\0")
        self._pending -= 1
        if refused is not None:
            raise ServiceFailed(f"PostgreSQL says: {refused}")
        return rows

    def _read(self) -> tuple[bytes, bytes]:
        """The type and the body of the next message; a refused connection is an error message, then
        the end.
        """
        try:
            head = self._exactly(5)
            body = self._exactly(struct.unpack("!i", head[1:])[0] - 4)
        except OSError as error:
            raise ServiceFailed(f"the private PostgreSQL does not answer: {error}") from error
        if head[:1] == b"E" and _fields(body).get("V") in ("FATAL", "PANIC"):
            raise ServiceFailed(f"PostgreSQL says: {_error(body)}")
        return head[:1], body

    def _exactly(self, size: int) -> bytes:
        data = self._input.read(size)
        if len(data) != size:
            raise ConnectionError("the connection was closed")
        return data


def _startup(parameters: dict[str, str]) -> bytes:
    body = struct.pack("!i", _PROTOCOL)
    body += b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def _column_types(body: bytes) -> list[int]:
    """The type's OID of each column."""
    return [column[2] for column in _columns(body)]


def _column_origins(body: bytes) -> list[tuple[int, int]]:
    """The OID of the table of each column, and its number there."""
    return [(column[0], column[1]) for column in _columns(body)]


def _columns(body: bytes) -> list[tuple[int, ...]]:
    """What the server says of each column: its table, its number there, its type, and more."""
    columns, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        at = body.index(b"\0", at) + 1
        columns.append(struct.unpack_from("!ihihih", body, at))
        at += 18
    return columns


def _row(body: bytes, types: list[int]) -> Row:
    """Whole numbers, floats and booleans as such, all else as PostgreSQL writes it."""
    row: Row = []
    at = 2
    for oid in types:
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        text = None if size < 0 else body[at : at + size].decode(errors="backslashreplace")
        row.append(None if text is None else _TO_VALUE.get(oid, str)(text))
        at += max(size, 0)
    return row


def _fields(body: bytes) -> dict[str, str]:
    return {
        part[:1].decode(): part[1:].decode(errors="backslashreplace")
        for part in body.split(b"\0")
        if part
    }


def _error(body: bytes) -> str:
    fields = _fields(body)
    return "; ".join(fields[name] for name in ("M", "D", "H") if name in fields)
