"""Books the parcel of a confirmed order."""

import json
import logging
from typing import Any

from huey import CancelExecution
from huey.api import Task

from depot import carrier, db
from depot.queue import huey

log = logging.getLogger(__name__)


class InvalidOrder(Exception):
    """The message names no order."""


def is_booked(order_id: int) -> bool:
    with db.transaction() as connection:
        row = connection.execute("SELECT 1 FROM shipments WHERE order_id = ?", (order_id,)).fetchone()
    return row is not None


def mark_booked(order_id: int, address: str) -> None:
    with db.transaction() as connection:
        connection.execute("INSERT INTO shipments VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, address))


def give_up(payload: dict[str, Any], error: Exception) -> None:
    """Keeps the job for a person."""
    log.error("shipment given up order_id=%s reason=%r", payload.get("order_id"), error)
    with db.transaction() as connection:
        row = (json.dumps(payload, sort_keys=True), repr(error))
        connection.execute("INSERT INTO dead_letters VALUES (?, ?) ON CONFLICT DO NOTHING", row)


def read(payload: dict[str, Any]) -> tuple[int, str]:
    """The order's number and address. Raises InvalidOrder."""
    order_id, address = payload.get("order_id"), payload.get("address")
    if not isinstance(order_id, int) or order_id < 1 or not address:
        raise InvalidOrder(f"no order: {payload!r}")
    return order_id, address


def ship(payload: dict[str, Any]) -> None:
    order_id, address = read(payload)
    if is_booked(order_id):
        log.info("shipment already booked order_id=%s", order_id)
        return
    carrier.book(order_id, address, idempotency_key=f"shipment-{order_id}")
    mark_booked(order_id, address)
    log.info("shipment booked order_id=%s", order_id)


@huey.task(retries=3, retry_delay=10, retry_backoff=3, context=True)  # four runs, 10, 30, 90 seconds apart
def book_shipment(payload: dict[str, Any], task: Task) -> None:
    """Books once: the carrier drops what comes again, the table remembers for longer."""
    order_id = payload.get("order_id")
    log.info("shipment started order_id=%s", order_id)
    try:
        ship(payload)
    except (carrier.Rejected, InvalidOrder) as error:
        give_up(payload, error)
        raise CancelExecution(retry=False) from error
    except (carrier.Unavailable, TimeoutError) as error:
        if not task.retries:
            give_up(payload, error)
            raise
        log.warning("shipment will be retried order_id=%s reason=%r", order_id, error)
        raise
