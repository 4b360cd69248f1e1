"""RQ: on the proof's own Redis, where the handler's keys are as well."""

from __future__ import annotations

import re

from skillrun.frameworks.common.redis_broker import RedisBroker


class RqBroker(RedisBroker):
    """A worker that dies leaves its job in the registry of started ones until its time there is
    over.
    """

    QUEUE = re.compile(r"rq:queue:([^:]+)")
    TAKEN = re.compile(r"rq:(wip|scheduled):.*|rq:queue:[^:]+:intermediate")
    DEAD = re.compile(r"rq:failed:.*")
    CLOCKED = re.compile(r"rq:(wip|executions):.*")
    MINE = re.compile(r"rq:")
    OWN_SERVER = False
