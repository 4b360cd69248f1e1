"""A private Redis as a library's broker; the libraries differ in the names of their keys."""

from __future__ import annotations

import re
from typing import Any

from skillrun.frameworks.broker import Command, Premises


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
    OWN_SERVER = True  # the handler's keys are elsewhere

    def __init__(self, premises: Premises) -> None:
        self.redis = premises.open_redis(own=self.OWN_SERVER)
        self.kept: list[Command] = []
        self.url = self.redis.url

    def empty_queues(self) -> None:
        if self.OWN_SERVER:
            self.redis.call("FLUSHALL")

    def _keys(self) -> dict[str, bytes]:
        """Key -> type."""
        keys: Any = self.redis.call("KEYS", "*")
        types: Any = self.redis.pipeline(("TYPE", key) for key in keys)
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
        return _sum(self.redis.pipeline(asked))

    def count_waiting(self) -> int:
        lists = [
            key
            for key, kind in self._keys().items()
            if kind == b"list" and self.QUEUE.fullmatch(key)
        ]
        return _sum(self.redis.pipeline(("LLEN", key) for key in lists)) + self._sizes(self.TAKEN)

    def list_queues(self) -> list[str]:
        found = (self.QUEUE.fullmatch(key) for key, kind in self._keys().items() if kind == b"list")
        return sorted({match[1].partition("\x06")[0] for match in found if match})

    def remember_waiting(self) -> None:
        self.kept = []
        for key, kind in self._keys().items():
            if kind == b"list" and self.QUEUE.fullmatch(key):
                items: Any = self.redis.call("LRANGE", key, 0, -1)
                self.kept += [("RPUSH", key, item) for item in items]
            elif kind == b"hash":
                fields: Any = self.redis.call("HGETALL", key)
                self.kept.append(("HSET", key, *fields))

    def deliver_again(self) -> None:
        # What a message needs is there first.
        self.redis.pipeline(sorted(self.kept, key=lambda command: str(command[0])))

    def lose_messages(self) -> None:
        self.redis.pipeline(("DEL", key) for key in self._keys())

    def pass_time(self, seconds: float) -> None:
        self.redis.jump(seconds)
        for key, kind in self._keys().items():
            if kind == b"zset" and self.CLOCKED.fullmatch(key):
                members: Any = self.redis.call("ZRANGE", key, 0, -1)
                older = str(-seconds * self.PER_SECOND)
                self.redis.pipeline(("ZINCRBY", key, older, member) for member in members)

    def count_dead(self) -> int | None:
        return None if self.DEAD is None else self._sizes(self.DEAD)

    def stop(self) -> None:
        self.redis.close()


def _sum(sizes: list[Any]) -> int:
    return sum(size for size in sizes if isinstance(size, int))
