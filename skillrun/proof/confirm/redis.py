"""A private Redis as a library's broker; the libraries differ in the names of their keys."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from skillrun.proof.services.redis import RedisServer
from skillrun.proof.services.resp import Command, Reply, Resp

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting


class RedisBroker:
    """`QUEUE`, `TAKEN`, `DEAD` and `CLOCKED` match whole keys; `QUEUE`'s group is the queue's
    name.
    """

    QUEUE = re.compile(r"(.+)")  # lists of waiting messages
    TAKEN = re.compile(r"(?!)")  # where those are that a worker has, or that wait for their time
    DEAD: re.Pattern[str] | None = None
    CLOCKED = re.compile(r"(?!)")  # sorted sets by time: in it, everything becomes older
    PER_SECOND = 1.0
    MINE = re.compile(r"")  # the library's keys
    ALONE = False

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.own = self._own()
        self.server: RedisServer = self.own or next(
            s for s in setting.servers if isinstance(s, RedisServer)
        )
        self.resp = Resp(self.server.socket)
        self.kept: list[Command] = []
        self.url = self.server.url

    def _own(self) -> RedisServer | None:
        """A server of its own: the handler's keys are elsewhere."""
        folder = self.setting.place.run / "broker"
        folder.mkdir()
        return RedisServer(folder, self.setting.sandbox)

    def reset(self) -> None:
        if self.own is not None:
            self.resp.call("FLUSHALL")

    def _keys(self) -> dict[str, bytes]:
        """Key -> type."""
        keys: Any = self.resp.call("KEYS", "*")
        types: Any = self.resp.pipeline(("TYPE", key) for key in keys)
        found = {
            key.decode("utf-8", "replace"): kind for key, kind in zip(keys, types, strict=True)
        }
        return {key: kind for key, kind in found.items() if self.MINE.match(key)}

    def _sizes(self, pattern: re.Pattern[str]) -> int:
        count = {b"list": "LLEN", b"zset": "ZCARD", b"hash": "HLEN"}
        asked = [
            (count[kind], key)
            for key, kind in self._keys().items()
            if kind in count and pattern.fullmatch(key)
        ]
        return _sum(self.resp.pipeline(asked))

    def waiting(self) -> int:
        lists = [
            key
            for key, kind in self._keys().items()
            if kind == b"list" and self.QUEUE.fullmatch(key)
        ]
        return _sum(self.resp.pipeline(("LLEN", key) for key in lists)) + self._sizes(self.TAKEN)

    def queues(self) -> list[str]:
        found = (self.QUEUE.fullmatch(key) for key, kind in self._keys().items() if kind == b"list")
        return sorted({match[1].partition("\x06")[0] for match in found if match})

    def keep(self) -> None:
        self.kept = []
        for key, kind in self._keys().items():
            if kind == b"list" and self.QUEUE.fullmatch(key):
                items: Any = self.resp.call("LRANGE", key, 0, -1)
                self.kept += [("RPUSH", key, item) for item in items]
            elif kind == b"hash":
                fields: Any = self.resp.call("HGETALL", key)
                self.kept.append(("HSET", key, *fields))

    def again(self) -> None:
        # What a message needs is there first.
        self.resp.pipeline(sorted(self.kept, key=lambda command: str(command[0])))

    def clear(self) -> None:
        self.resp.pipeline(("DEL", key) for key in self._keys())

    def age(self, seconds: float) -> None:
        self.server.jump(seconds)
        for key, kind in self._keys().items():
            if kind == b"zset" and self.CLOCKED.fullmatch(key):
                members: Any = self.resp.call("ZRANGE", key, 0, -1)
                older = str(-seconds * self.PER_SECOND)
                self.resp.pipeline(("ZINCRBY", key, older, member) for member in members)

    def dead(self) -> int | None:
        return None if self.DEAD is None else self._sizes(self.DEAD)

    def stop(self) -> None:
        self.resp.close()
        if self.own is not None:
            with contextlib.suppress(Exception):
                self.own.stop()


def _sum(sizes: list[Reply]) -> int:
    return sum(size for size in sizes if isinstance(size, int))
