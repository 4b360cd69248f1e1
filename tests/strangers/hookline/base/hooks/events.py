"""What the rest of the company calls."""

from typing import Any

from taskiq.exceptions import SendTaskError

from hooks.log import logger
from hooks.store import get_store
from hooks.tasks import deliver_event


async def publish(event_id: str, customer_id: str, type: str, data: dict[str, Any]) -> None:
    """Has a customer told. A second call with the same id adds nothing."""
    await get_store().add(event_id, customer_id, type, data)
    await _send(event_id)


async def revive(event_id: str) -> None:
    """Another six attempts for an event that was given up."""
    await get_store().revive(event_id)
    await _send(event_id)


async def _send(event_id: str) -> None:
    try:
        await deliver_event.kiq(event_id=event_id)
    except SendTaskError as exc:
        # It is in the table; the sweep sends it.
        logger.bind(job="deliver_event", event_id=event_id, result="not_sent", reason=repr(exc.__cause__)).warning("not sent yet")
