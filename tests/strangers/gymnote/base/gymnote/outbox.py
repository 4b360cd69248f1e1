"""From the table dunnings to the queue: at once, by the relay, or again after a loss."""

import logging
from datetime import timedelta

from sqlalchemy import select, update

from gymnote.db import Dunning, Invoice, Session, utcnow
from gymnote.errors import NoSuchInvoice

# The longest wait between two attempts is 4 minutes.
STUCK_AFTER = timedelta(minutes=8)

logger = logging.getLogger(__name__)


def start(invoice_id):
    """Dun the member for an invoice that is overdue."""
    with Session.begin() as session:
        invoice = session.get(Invoice, invoice_id)
        if invoice is None:
            raise NoSuchInvoice(f"invoice {invoice_id}")
        if invoice.state == "open" and session.get(Dunning, invoice_id) is None:
            session.add(Dunning(invoice_id=invoice_id, state="pending"))
            invoice.member.standing = "dunned"
    try:
        publish_pending()
    except Exception:
        # It is written down, the relay comes by every minute.
        logger.exception("not published yet", extra={"job": "dun_member", "invoice_id": invoice_id})


def publish_pending():
    """Put on the queue what is not there yet."""
    from gymnote.tasks import dun_member

    with Session() as session:
        pending = session.scalars(
            select(Dunning.invoice_id).where(Dunning.state == "pending").order_by(Dunning.invoice_id)
        ).all()
    for invoice_id in pending:
        dun_member(invoice_id=invoice_id)
        with Session.begin() as session:
            session.execute(
                update(Dunning)
                .where(Dunning.invoice_id == invoice_id, Dunning.state == "pending")
                .values(state="queued")
            )
        logger.info("queued", extra={"job": "dun_member", "invoice_id": invoice_id})


def rescue_stuck():
    """Queue again what the queue has lost: a worker that dies takes its task along."""
    with Session.begin() as session:
        stuck = session.scalars(
            select(Dunning.invoice_id).where(
                Dunning.state == "queued", Dunning.touched_at < utcnow() - STUCK_AFTER
            )
        ).all()
        session.execute(update(Dunning).where(Dunning.invoice_id.in_(stuck)).values(state="pending"))
    for invoice_id in stuck:
        logger.warning("stuck, queued again", extra={"job": "dun_member", "invoice_id": invoice_id})
    publish_pending()
