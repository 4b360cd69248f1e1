"""The actors; the worker starts with `dramatiq hooks.worker`."""

import asyncio
import logging
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage

from hooks import wire

log = logging.getLogger(__name__)
RETRIES = 3


class Journal(dramatiq.Middleware):
    """One line for each failed attempt: what went wrong, and whether there will be another one."""

    def before_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        """Dramatiq keeps the message in its dead-letter queue for a week."""
        log.error("given up event=%s: %r", message.kwargs.get("event_id"), message._exception)

    def before_ack(self, broker: dramatiq.Broker, message: Any) -> None:
        """A failed message that is acknowledged has a successor."""
        if message._exception is not None:
            log.warning("will try again event=%s: %r", message.kwargs.get("event_id"), message._exception)


class BadEvent(ValueError):
    """What was sent is no event."""


broker = RedisBroker(host="localhost")
broker.add_middleware(AsyncIO())
broker.add_middleware(CurrentMessage())
broker.add_middleware(Journal())
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=RETRIES, min_backoff=10_000, max_backoff=300_000, throws=(wire.Gone, BadEvent, TypeError))
async def deliver(event_id: str, url: str, body: dict | None = None) -> None:
    """Posts an event to a subscriber, who drops what it has seen."""
    if not url.startswith("https://"):
        raise BadEvent(f"{url!r} is no address")
    attempt = CurrentMessage.get_current_message().options.get("retries", 0) + 1
    log.info("posting event=%s attempt=%s", event_id, attempt)
    await asyncio.sleep(0.2)
    await wire.post(url, {"id": event_id, **(body or {})}, delivery_id=event_id)
    log.info("posted event=%s", event_id)
