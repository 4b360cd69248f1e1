"""The broker and its middleware; the worker starts with `dramatiq returns.jobs`."""

import logging
import os
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

log = logging.getLogger("returns.retries")


class SayRetries(dramatiq.Middleware):
    """Says of each retry that it will come, and why."""

    def after_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
        """Each retry is enqueued with a delay; the move out of the delay queue has none."""
        if delay is not None and message.options.get("traceback"):
            reason = message.options["traceback"].strip().splitlines()[-1]
            log.warning("will be retried return_id=%s in_ms=%s: %s", message.kwargs.get("return_id"), delay, reason)


broker = RedisBroker(url=os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
broker.add_middleware(SayRetries())
dramatiq.set_broker(broker)
