"""arq: on the proof's own Redis, where the handler's keys are as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.common.redis_broker import RedisBroker

_JOB = "arq:job:"


class ArqBroker(RedisBroker):
    """A job is there as long as its definition is; its queue is a sorted set of ids, whatever its
    name.

    The job of a worker that died has a key of its own, which runs out like any other: that is all
    there is to age.
    """

    ALONE = True
    OWN_SERVER = False
    OF_JOBS = re.compile(r"arq:(job|in-progress|retry|result):.*")

    def _list_jobs(self) -> list[str]:
        """The ids of the jobs that are there."""
        jobs = []
        for key in self.read_kinds():
            if key.startswith(_JOB):
                jobs.append(key.removeprefix(_JOB))
        return jobs

    def _list_waiting(self) -> Iterator[tuple[str, bytes]]:
        """(queue, id) of each of them."""
        known = set(self._list_jobs())
        for key, kind in self.read_kinds().items():
            members: Any = []
            if kind == b"zset":
                members = self.redis.call("ZRANGE", key, 0, -1)
            for member in members:
                if member.decode("utf-8", "replace") in known:
                    yield key, member

    def count_waiting(self) -> int:
        return len(self._list_jobs())

    def list_queues(self) -> list[str]:
        return sorted({queue for queue, _ in self._list_waiting()})

    def remember_waiting(self) -> None:
        self.kept = []
        for queue, member in self._list_waiting():
            key = _JOB + member.decode("utf-8", "replace")
            self.kept += [*self._copy_key(key, b"string"), ("ZADD", queue, 1, member)]

    def lose_messages(self) -> None:
        for queue, member in list(self._list_waiting()):
            self.redis.call("ZREM", queue, member)
        self.redis.pipeline(
            ("DEL", key) for key in self.read_kinds() if self.OF_JOBS.fullmatch(key)
        )
