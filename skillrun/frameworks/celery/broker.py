"""Celery on Redis: kombu's transport."""

from __future__ import annotations

import re

from skillrun.frameworks.broker import Premises
from skillrun.frameworks.common.redis_broker import RedisBroker


class CeleryBroker(RedisBroker):
    """An unacknowledged message comes back when its time in `unacked_index` is older than the
    visibility timeout.
    """

    QUEUE = re.compile(r"(?!unacked|_kombu)(.+)")
    TAKEN = re.compile(r"unacked")
    CLOCKED = re.compile(r"unacked_index")

    def __init__(self, premises: Premises) -> None:
        super().__init__(premises)
        self.url = f"redis+socket://{self.redis.socket}?virtual_host=0"

    def pass_time(self, seconds: float) -> None:
        """On Redis an hour is the default, whatever the application's own broker does."""
        super().pass_time(max(seconds, 3600.0 + 60.0))
