"""SAQ: on the proof's own Redis, where the handler's keys are as well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from skillrun.frameworks.broker import NotConfirmed
from skillrun.frameworks.common.redis_broker import RedisBroker

_LONG_AGO_MS = 1


class SaqBroker(RedisBroker):
    """A job waits as long as its id is in the sorted set `incomplete` of its queue, by when it is
    due; the id of one that a worker has is in the list `active` too.
    """

    ALONE = True
    OWN_SERVER = False
    QUEUE = re.compile(r"saq:(.+):incomplete")
    HOLDS = b"zset"
    MINE = re.compile(r"saq:")

    def _jobs(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(queue, id, the job as it is written) of those that wait or are active."""
        for queue in self.list_queues():
            members: Any = self.redis.call("ZRANGE", f"saq:{queue}:incomplete", 0, -1)
            for id_ in members:
                data: Any = self.redis.call("GET", id_)
                if data is not None:
                    yield queue, id_, data

    def remember_waiting(self) -> None:
        self.kept = []
        for queue, id_, data in self._jobs():
            self.kept += [
                ("SET", id_, data),
                ("ZADD", f"saq:{queue}:incomplete", 0, id_),
                ("RPUSH", f"saq:{queue}:queued", id_),
            ]

    def deliver_again(self) -> None:
        # A worker that takes the id before the job is there takes it for missing.
        self.redis.pipeline(self.kept)

    def pass_time(self, seconds: float) -> None:
        """Whatever a worker had begun is older than its timeout, and a sweep is due."""
        self.redis.jump(seconds)
        self.redis.pipeline(("DEL", key) for key in self.read_kinds() if key.endswith(":sweep"))
        for _, id_, data in list(self._jobs()):
            try:
                job = json.loads(data)
            except ValueError as error:
                raise NotConfirmed("the jobs of its queue are no JSON") from error
            if job.get("status") == "active":
                older = {**job, "started": _LONG_AGO_MS, "touched": _LONG_AGO_MS}
                self.redis.call("SET", id_, json.dumps(older))
