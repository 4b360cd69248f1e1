"""Collecting an overdue invoice: charge the card, then mail the receipt."""

from datetime import timedelta

from sqlalchemy import update

from gymnote import postmaster
from gymnote.cards import CardDesk
from gymnote.db import DeadJob, Dunning, Invoice, Session, utcnow
from gymnote.errors import BadMessage, GivenUp, NoSuchInvoice

MAX_STARTS = 8  # five attempts, and some for machines that fell over
KEYS_GOOD_FOR = timedelta(hours=23)  # PlasticPay forgets ours after 24


def collect(invoice_id, log):
    invoice = _begin(invoice_id)
    if invoice is None:
        log.info("nothing left to do")
        return

    if invoice.charge_id is None:
        charge_id = CardDesk().charge(
            invoice.member.card_token,
            invoice.cents,
            f"Dues {invoice.month}",
            idempotency_key=f"dues-{invoice_id}",
        )
        with Session.begin() as session:
            session.execute(
                update(Invoice)
                .where(Invoice.id == invoice_id, Invoice.charge_id.is_(None))
                .values(charge_id=charge_id, state="charged")
            )
        log.info("charged", extra={"charge_id": charge_id})

    mail_id = postmaster.send_template(
        "dues-receipt",
        invoice.member.email,
        {"name": invoice.member.name, "month": invoice.month, "cents": invoice.cents},
        message_key=f"dues-receipt-{invoice_id}",
    )
    with Session.begin() as session:
        done = session.get_one(Invoice, invoice_id)
        done.mail_id, done.state, done.member.standing = mail_id, "settled", "good"
        session.get_one(Dunning, invoice_id).state = "done"
    log.info("receipt sent", extra={"mail_id": mail_id})


def _begin(invoice_id):
    """Write down that it is being tried, before anything is. None if it is over."""
    with Session.begin() as session:
        invoice = session.get(Invoice, invoice_id)
        if invoice is None:
            raise NoSuchInvoice(f"invoice {invoice_id}")
        dunning = session.get(Dunning, invoice_id)
        if dunning is None:
            dunning = Dunning(invoice_id=invoice_id, state="queued", starts=0)
            session.add(dunning)
        if dunning.state in ("done", "dead") or invoice.state == "settled":
            return None
        if dunning.starts >= MAX_STARTS:
            raise GivenUp(f"invoice {invoice_id} was started {dunning.starts} times")
        now = utcnow()
        if dunning.first_start and now - dunning.first_start > KEYS_GOOD_FOR:
            raise GivenUp(f"invoice {invoice_id} was first tried at {dunning.first_start}")
        dunning.starts += 1
        dunning.first_start = dunning.first_start or now
        invoice.member  # loaded here, read after the session
        return invoice


def bury(task_id, task, message, error):
    """Record that a job has failed for good."""
    # what a bad message says about an invoice is not to be believed
    invoice_id = None if isinstance(error, BadMessage) else message["invoice_id"]
    with Session.begin() as session:
        dunning = session.get(Dunning, invoice_id) if invoice_id else None
        if dunning is not None:
            if dunning.state in ("done", "dead"):
                return
            dunning.state = "dead"
            invoice = session.get_one(Invoice, invoice_id)
            if invoice.charge_id is None:
                invoice.state, invoice.member.standing = "unpaid", "blocked"
        if session.get(DeadJob, task_id) is None:
            session.add(DeadJob(task_id=task_id, task=task, message=message, reason=repr(error)))
