"""Dramatiq on Redis."""

from __future__ import annotations

import re

from skillrun.frameworks.common.redis_broker import RedisBroker


class DramatiqBroker(RedisBroker):
    """`.msgs` holds what waits and what a worker has; a worker without a heartbeat loses what it
    has to the others.
    """

    QUEUE = re.compile(r"[^:]+:(.+)")
    TAKEN = re.compile(r"(?!.*\.XQ\.msgs$).*\.msgs")
    DEAD = re.compile(r".*\.XQ")
    CLOCKED = re.compile(r".*__heartbeats__")
    PER_SECOND = 1000.0
