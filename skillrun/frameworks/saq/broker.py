"""SAQ: on the proof's own Redis, where the handler's keys are as well."""

from __future__ import annotations

import json
import re

from skillrun.frameworks.broker import NotConfirmed
from skillrun.frameworks.common.redis_broker import RedisBroker

_JOB = re.compile(r"saq:job:.*")
_LONG_AGO_MS = 1


class SaqBroker(RedisBroker):
    """A job waits as long as its id is in the sorted set `incomplete` of its queue, by when it is
    due; the id of one that a worker has is in the list `active` too.
    """

    ALONE = True
    OWN_SERVER = False
    QUEUE = re.compile(r"saq:(.+):incomplete")
    HOLDS = b"zset"
    KEPT = re.compile(r"saq:(job:.+|.+:(incomplete|queued))")
    MINE = re.compile(r"saq:")

    def pass_time(self, seconds: float) -> None:
        """Whatever a worker had begun is older than its timeout, and a sweep is due."""
        self.redis.jump(seconds)
        self.redis.pipeline(("DEL", key) for key in self.read_kinds() if key.endswith(":sweep"))
        for id_, _ in list(self.find_keys(_JOB, b"string")):
            try:
                job = json.loads(self.redis.call("GET", id_) or b"{}")
            except ValueError as error:
                raise NotConfirmed("the jobs of its queue are no JSON") from error
            if job.get("status") == "active":
                older = {**job, "started": _LONG_AGO_MS, "touched": _LONG_AGO_MS}
                self.redis.call("SET", id_, json.dumps(older))
