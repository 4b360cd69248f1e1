"""A private Redis as a library's broker; the libraries differ in the names of their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.broker import Command, Premises

# How to ask for what a key of a type holds.
_SIZES = {b"list": "LLEN", b"zset": "ZCARD", b"hash": "HLEN"}


class RedisBroker:
    """`QUEUE`, `TAKEN`, `DEAD` and `CLOCKED` match whole keys; `QUEUE`'s group is the queue's
    name.
    """

    QUEUE = re.compile(r"(.+)")  # what holds waiting messages, and its type
    HOLDS = b"list"
    # Where those are that a worker has, or that wait for their time.
    TAKEN = re.compile(r"(?!)")
    # What a waiting message consists of, beside queues that are lists, and hashes.
    KEPT = re.compile(r"(?!)")
    DEAD: re.Pattern[str] | None = None
    # Sorted sets by time: in them, everything becomes older.
    CLOCKED = re.compile(r"(?!)")
    PER_SECOND = 1.0
    MINE = re.compile(r"")  # the library's keys
    ALONE = False
    ENDS_APART = False
    OWN_SERVER = True  # the handler's keys are elsewhere

    def __init__(self, premises: Premises) -> None:
        self.redis = premises.open_redis(own=self.OWN_SERVER)
        self.kept: list[Command] = []
        self.url = self.redis.url

    def empty_queues(self) -> None:
        if self.OWN_SERVER:
            self.redis.call("FLUSHALL")

    def read_kinds(self) -> dict[str, bytes]:
        """Key -> type, of the library's keys."""
        keys: Any = self.redis.call("KEYS", "*")
        kinds: Any = self.redis.pipeline(("TYPE", key) for key in keys)
        found = {}
        for key, kind in zip(keys, kinds, strict=True):
            name = key.decode("utf-8", "replace")
            if self.MINE.match(name):
                found[name] = kind
        return found

    def find_keys(self, pattern: re.Pattern[str], *kinds: bytes) -> Iterator[tuple[str, bytes]]:
        """(key, type) of those of some types that match."""
        for key, kind in self.read_kinds().items():
            if kind in kinds and pattern.fullmatch(key):
                yield key, kind

    def count_members(self, pattern: re.Pattern[str], *kinds: bytes) -> int:
        """What these keys hold together."""
        asked = [(_SIZES[kind], key) for key, kind in self.find_keys(pattern, *kinds)]
        return sum(self.redis.pipeline(asked))

    def count_waiting(self) -> int:
        waiting = self.count_members(self.QUEUE, self.HOLDS)
        return waiting + self.count_members(self.TAKEN, *_SIZES)

    def list_queues(self) -> list[str]:
        names = set()
        for key, _ in self.find_keys(self.QUEUE, self.HOLDS):
            match = self.QUEUE.fullmatch(key)
            assert match is not None
            # Kombu writes a message's priority behind its queue.
            names.add(match[1].partition("\x06")[0])
        return sorted(names)

    def remember_waiting(self) -> None:
        self.kept = []
        for key, kind in self.read_kinds().items():
            is_queue = kind == b"list" and self.QUEUE.fullmatch(key)
            if is_queue or kind == b"hash" or self.KEPT.fullmatch(key):
                self.kept += self._copy_key(key, kind)

    def _copy_key(self, key: str, kind: bytes) -> Iterator[Command]:
        """What writes it once more."""
        if kind == b"string":
            yield "SET", key, self.redis.call("GET", key)
        elif kind == b"hash":
            yield "HSET", key, *self.redis.call("HGETALL", key)
        elif kind == b"list":
            for item in self.redis.call("LRANGE", key, 0, -1):
                yield "RPUSH", key, item
        elif kind == b"zset":
            # What waits for its time is due at once; nothing at all would mean that it is gone.
            for item in self.redis.call("ZRANGE", key, 0, -1):
                yield "ZADD", key, 1, item

    def deliver_again(self) -> None:
        # What a message needs is there first: who takes an id before its job takes it for missing.
        self.redis.pipeline(sorted(self.kept, key=lambda command: command[0] in ("RPUSH", "ZADD")))

    def lose_messages(self) -> None:
        self.redis.pipeline(("DEL", key) for key in self.read_kinds())

    def pass_time(self, seconds: float) -> None:
        self.redis.jump(seconds)
        older = str(-seconds * self.PER_SECOND)
        for key, _ in self.find_keys(self.CLOCKED, b"zset"):
            members: Any = self.redis.call("ZRANGE", key, 0, -1)
            self.redis.pipeline(("ZINCRBY", key, older, member) for member in members)

    def count_dead(self) -> int | None:
        if self.DEAD is None:
            return None
        return self.count_members(self.DEAD, *_SIZES)

    def stop(self) -> None:
        self.redis.close()
