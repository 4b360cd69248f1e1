"""Celery on Redis: kombu's transport."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.proof.confirm.redis import RedisBroker

if TYPE_CHECKING:
    from skillrun.proof.setting import Setting


class CeleryBroker(RedisBroker):
    """An unacknowledged message comes back when its time in `unacked_index` is older than the
    visibility timeout.
    """

    QUEUE = re.compile(r"(?!unacked|_kombu)(.+)")
    TAKEN = re.compile(r"unacked")
    CLOCKED = re.compile(r"unacked_index")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.url = f"redis+socket://{self.server.socket}?virtual_host=0"

    def age(self, seconds: float) -> None:
        """On Redis an hour is the default, whatever the application's own broker does."""
        super().age(max(seconds, 3600.0 + 60.0))
