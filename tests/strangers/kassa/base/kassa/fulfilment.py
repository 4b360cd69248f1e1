"""What the warehouse's webhook calls."""

from __future__ import annotations

import logging

from kombu.exceptions import OperationalError

from kassa.domain import utcnow
from kassa.settings import get_settings
from kassa.store import PaymentStore
from kassa.tasks import capture_payment

log = logging.getLogger("kassa.fulfilment")


def ship_order(order_id: int) -> None:
    """The parcel is on its way: from now on the money may be taken. Calling it again is safe."""
    PaymentStore(get_settings().database_dsn).request_capture(order_id, utcnow())
    try:
        capture_payment.apply_async(args=[{"order_id": order_id}])
    except OperationalError as error:
        log.warning("job=capture-payment order_id=%s result=left-to-the-sweep reason=%r", order_id, error)
