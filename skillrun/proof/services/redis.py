"""A private Redis on a Unix socket, which can be put back, moved on in time, and read."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from skillrun.core.extras import install_hint
from skillrun.proof.services.child import Child, check_socket_path, exec_line, unlink_quietly
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.services.resp import (
    Command,
    Reply,
    Resp,
    as_list,
    as_number,
    as_text,
    as_texts,
)
from skillrun.proof.store_watch import Contents

if TYPE_CHECKING:
    from skillrun.proof.sandbox.sandbox import Sandbox

LOOPBACK, PORT = "127.0.0.1", 6379
HINT = f"apt install redis-server, or {install_hint('services')}"
_START_S = 20.0
_GONE, _FOR_EVER = -2, -1  # replies of PTTL
_COUNT = re.compile(r"^cmdstat_(\S+?):calls=(\d+)", re.MULTILINE)
# They write files, reach other servers or subscribers, or change this one. Redis tells subcommands
# from 7 on.
LEAVING = frozenset(
    [
        "acl|deluser",
        "acl|load",
        "acl|save",
        "acl|setuser",
        "bgrewriteaof",
        "bgsave",
        "cluster|failover",
        "cluster|meet",
        "config|rewrite",
        "config|set",
        "debug",
        "failover",
        "migrate",
        "module|load",
        "module|loadex",
        "psync",
        "publish",
        "replicaof",
        "save",
        "shutdown",
        "slaveof",
        "spublish",
        "sync",
    ]
)
# Wchan of proc(5); 0 or nothing where the kernel does not tell.
_ASLEEP_IN = (
    "ep_poll",
    "do_epoll_wait",
    "0",
    "",
)


class RedisServer:
    """Starts at once and keeps nothing on disk. One to a folder. Raises ServiceMissing or
    ServiceFailed.

    `port`: where it listens on the loopback address of `sandbox`; 0: on its Unix socket alone.
    """

    name = "redis"

    def __init__(self, folder: Path, sandbox: Sandbox | None = None, *, port: int = 0) -> None:
        binary = find_redis_server()
        if binary is None:
            raise ServiceMissing(
                "the proof needs a private Redis, and there is no redis-server here", hint=HINT
            )
        self.folder = folder.absolute()
        self.socket = self.folder / "r.sock"
        check_socket_path(self.socket)
        self.folder.mkdir(parents=True, exist_ok=True)
        unlink_quietly(self.socket)
        self._saved: list[Command] = []
        self._first: list[Command] | None = None
        self._second: list[Command] = []
        self.port = port
        command = exec_line(_write_command(binary, self.folder, self.socket, port))
        self._child = Child("Redis", command, log=self.folder / "redis.log", sandbox=sandbox)
        try:
            self._child.wait_until(self._is_answering, _START_S)
            self._resp = Resp(self.socket)
        except BaseException:
            self._end_child()
            raise

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """For redis-py and all that understand its URLs."""
        return f"unix://{quote(str(self.socket))}?db=0"

    @property
    def address(self) -> str:
        """Where it listens, as HOST:PORT; "" where it does not."""
        if self.port:
            return f"{LOOPBACK}:{self.port}"
        return ""

    @property
    def parts(self) -> dict[str, str]:
        """Where it listens, for settings that know host and port alone; nothing where it does
        not.
        """
        if not self.port:
            return {}
        url = f"redis://{LOOPBACK}:{self.port}/0"
        return {"host": LOOPBACK, "port": str(self.port), "url": url}

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._child.pid

    def _is_answering(self) -> bool:
        try:
            with contextlib.closing(Resp(self.socket)) as resp:
                return resp.call("PING") == b"PONG"
        except ServiceFailed:
            return False

    def snapshot(self) -> None:
        """Remember every key of every database with its content and the time that it has left."""
        self._saved = self._save_keys()
        if self._first is None:
            self._first = self._saved

    def keep_second(self) -> None:
        """As `snapshot`, beside it."""
        self._second = self._save_keys()

    def _save_keys(self) -> list[Command]:
        """The commands that write all keys anew, each with the time that it has left."""
        saved: list[Command] = []
        for database, keys in self._list_keys():
            dumps: list[Command] = [("DUMP", key) for key in keys]
            _, *content = self._resp.pipeline([("SELECT", database), *dumps])
            saved.append(("SELECT", database))
            for key, data, left in zip(keys, content, self._milliseconds_left(keys), strict=True):
                # A key may end between the two questions.
                if data is not None and left is not None:
                    saved.append(("RESTORE", key, left, as_text(data)))
        return saved

    def restore(self) -> None:
        """Everything as it was at the snapshot (at the start where there is none), keys with the
        time left then.

        One round trip. Connections stay. The times of stream consumers and of hash fields are not
        kept.
        """
        self._resp.pipeline([("FLUSHALL",), *self._saved])

    def restore_first(self) -> None:
        """As `restore`, to the first snapshot."""
        self._resp.pipeline([("FLUSHALL",), *(self._first or [])])

    def restore_second(self) -> None:
        """As `restore`, to what `keep_second` has remembered."""
        self._resp.pipeline([("FLUSHALL",), *self._second])

    def forget(self, names: Iterable[str]) -> None:
        """As a server that came back without these keys."""
        gone = frozenset(names)
        self._delete(gone.__contains__)

    def forget_beginning(self, prefix: str) -> None:
        """As a server that came back without the keys of which the names begin so."""
        self._delete(lambda name: name.startswith(prefix))

    def _delete(self, is_gone: Callable[[str], bool]) -> None:
        for _database, keys in self._list_keys():
            lost = [key for key in keys if is_gone(_decode_text(key))]
            if lost:
                self._resp.call("DEL", *lost)

    def jump(self, seconds: float) -> None:
        """As if that time had passed: keys whose time is over are gone, the others have less left.

        The server's own clock (TIME, idle times of streams) and the fields of hashes with a time of
        their own stay. A WATCH on a key with a time counts this as a change (PEXPIRE is one).
        """
        passed = round(seconds * 1000)
        for database, keys in self._list_keys():
            left = self._milliseconds_left(keys, database)
            ends = zip(keys, left, strict=True)
            # Below 1: gone at once.
            self._resp.pipeline(("PEXPIRE", key, ms - passed) for key, ms in ends if ms)

    def dump(self) -> dict[str, dict[str, Any]]:
        """Every key's `type`, `value` and `ttl` (seconds, rounded up; None: stays) for people and
        for comparing.

        Bytes are text with backslash escapes, sets and hashes sorted, sorted sets {member: score},
        a stream the number of its entries. Keys outside database 0 are called `db1:key`.
        """
        found: dict[str, dict[str, Any]] = {}
        for database, keys in self._list_keys():
            left = self._milliseconds_left(keys, database)
            prefix = f"db{database}:" if database else ""
            for key, ms, (kind, value) in zip(keys, left, self._read_values(keys), strict=True):
                name = prefix + _decode_text(key)
                if ms is not None:
                    found[name] = {"type": kind, "value": value, "ttl": ceil(ms / 1000) or None}
        return found

    def contents(self) -> Contents:
        """Every key by a digest of its content, and how often each command came that leaves the
        server.
        """
        found: dict[tuple[str, str, str], str] = {}
        for database, keys in self._list_keys():
            dumps = self._resp.pipeline(("DUMP", key) for key in keys)
            for key, data in zip(keys, dumps, strict=True):
                name = (f"db{database}:" if database else "") + _decode_text(key)
                found["key", name, name] = hashlib.sha256(as_text(data or b"")).hexdigest()
        counts = _decode_text(as_text(self._resp.call("INFO", "commandstats")))
        for command, count in _COUNT.findall(counts):
            if command in LEAVING:
                found["command", command.replace("|", " ").upper(), ""] = count
        return Contents({}, found)

    def _read_values(self, keys: list[bytes]) -> list[tuple[str, Any]]:
        """The type and the readable value of each key."""
        kinds = self._resp.pipeline(("TYPE", key) for key in keys)
        types = [_decode_text(as_text(kind)) for kind in kinds]
        readers = [_READERS.get(kind, _OPAQUE) for kind in types]
        replies = self._resp.pipeline(ask(key) for key, (ask, _) in zip(keys, readers, strict=True))
        found: list[tuple[str, Any]] = []
        for kind, (_, show), reply in zip(types, readers, replies, strict=True):
            found.append((kind, show(reply)))
        return found

    def _list_keys(self) -> Iterator[tuple[int, list[bytes]]]:
        """Each database that is not empty, selected, and its keys in order."""
        keyspace = as_text(self._resp.call("INFO", "keyspace"))
        for number in re.findall(rb"^db(\d+):", keyspace, re.MULTILINE):
            _, keys = self._resp.pipeline([("SELECT", int(number)), ("KEYS", "*")])
            yield int(number), sorted(as_texts(keys))

    def _milliseconds_left(
        self, keys: list[bytes], database: int | None = None
    ) -> list[int | None]:
        """0: it stays for ever, as RESTORE has it; None: it is gone."""
        select: list[Command] = []
        if database is not None:
            select.append(("SELECT", database))
        questions: list[Command] = [("PTTL", key) for key in keys]
        replies = self._resp.pipeline([*select, *questions])[len(select) :]
        return [_read_time_left(as_number(reply)) for reply in replies]

    def is_idle(self) -> bool:
        """Whether the server sleeps, with nothing to do, and did nothing while this looked. False
        where /proc is not.

        A request wakes it at once, so a client that waits for an idle Redis waits for another
        client, or a time.
        """
        # It may have done something, and be asleep again, between two looks at it: a process that
        # worked was switched.
        before = _count_switches(self.pid)
        return before is not None and _is_asleep(self.pid) and _count_switches(self.pid) == before

    def stop(self) -> None:
        """Leaves no process and no socket."""
        self._resp.close()
        self._end_child()

    def _end_child(self) -> None:
        self._child.stop()
        unlink_quietly(self.socket)


def _write_command(binary: Path, folder: Path, socket: Path, port: int) -> list[str]:
    options = {
        "port": str(port),
        "bind": LOOPBACK,
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "loglevel": "warning",
    }
    command = [str(binary)]
    for name, value in options.items():
        command += [f"--{name}", value]
    return command


def _read_time_left(pttl: int) -> int | None:
    """The reply of PTTL as RESTORE has it: there 0 means for ever, so the last millisecond is 1."""
    if pttl == _GONE:
        return None
    if pttl == _FOR_EVER:
        return 0
    return max(pttl, 1)


def _decode_text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _decode_texts(reply: Reply) -> list[str]:
    return [_decode_text(as_text(item)) for item in as_list(reply)]


def _decode_pairs(reply: Reply) -> list[tuple[str, str]]:
    items = _decode_texts(reply)
    return list(zip(items[::2], items[1::2], strict=True))


# How to ask for a value of each type, and how to show the reply.
_READERS: dict[str, tuple[Callable[[bytes], Command], Callable[[Reply], Any]]] = {
    "string": (lambda key: ("GET", key), lambda reply: _decode_text(as_text(reply or b""))),
    "list": (lambda key: ("LRANGE", key, 0, -1), _decode_texts),
    "set": (lambda key: ("SMEMBERS", key), lambda reply: sorted(_decode_texts(reply))),
    "hash": (lambda key: ("HGETALL", key), lambda reply: dict(sorted(_decode_pairs(reply)))),
    "zset": (
        lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
        lambda reply: {member: float(score) for member, score in _decode_pairs(reply)},
    ),
    "stream": (lambda key: ("XLEN", key), lambda reply: reply),
}
_OPAQUE: tuple[Callable[[bytes], Command], Callable[[Reply], Any]] = (
    lambda key: ("DUMP", key),
    lambda reply: _decode_text(as_text(reply or b"")),
)


def _count_switches(pid: int) -> str | None:
    """How often the process went to sleep and was put aside."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return "".join(line for line in status.splitlines() if "ctxt_switches" in line)


def _is_asleep(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        where = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False
    return state == "S" and where in _ASLEEP_IN
