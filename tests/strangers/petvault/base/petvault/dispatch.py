"""How invoices get to the task."""
import logging
import time

from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy import or_, select

from petvault.celery_app import app
from petvault.tables import deliveries, engine, insert
from petvault.tasks import send_invoice

log = logging.getLogger(__name__)

OVERDUE = 10 * 60


def request_delivery(invoice_id: int) -> None:
    """The front desk's button. The row is committed first; if the broker is down, or we die
    here, requeue_open finds it."""
    with engine().begin() as tx:
        tx.execute(insert(deliveries).values(invoice_id=invoice_id).on_conflict_do_nothing())
    try:
        _publish(invoice_id)
    except BrokerDown as error:
        log.warning(
            "broker is down, invoice will be queued later",
            extra={"invoice_id": invoice_id, "reason": str(error)},
        )


def _publish(invoice_id: int) -> None:
    send_invoice.delay(invoice_id=invoice_id)
    with engine().begin() as tx:
        tx.execute(
            deliveries.update()
            .where(deliveries.c.invoice_id == invoice_id, deliveries.c.status == "open")
            .values(queued_for=int(time.time()))
        )


def requeue_open() -> None:
    """Queues what never was, and what should have run ten minutes ago and is in nobody's hands.
    One message too many does no harm."""
    now = int(time.time())
    standing_still = select(deliveries.c.invoice_id).where(
        deliveries.c.status == "open",
        deliveries.c.leased_until <= now,
        or_(deliveries.c.queued_for.is_(None), deliveries.c.queued_for <= now - OVERDUE),
    )
    with engine().connect() as connection:
        ids = connection.scalars(standing_still.order_by(deliveries.c.invoice_id)).all()
    for invoice_id in ids:
        _publish(invoice_id)
        log.warning("invoice stood still, queued again", extra={"invoice_id": invoice_id})


@app.task(name="petvault.requeue_open")
def requeue_open_task() -> None:
    requeue_open()
