import hashlib
import json
import logging

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from petvault import claims, post
from petvault.celery_app import app
from petvault.pdf import render
from petvault.tables import engine, invoices
from petvault.vault import VaultUnavailable, vault

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
FIRST_WAIT, FACTOR, LONGEST_WAIT = 20, 3, 900


@app.task(
    bind=True,
    name="petvault.send_invoice",
    # The attempts are counted in the claim. Each of them can make another message of the same
    # invoice wait once.
    max_retries=2 * MAX_ATTEMPTS,
    soft_time_limit=120,
    time_limit=150,
)
def send_invoice(self, invoice_id=None, **unknown):
    about = {"job": "send-invoice", "invoice_id": invoice_id, "task_id": self.request.id}
    log.info("send-invoice received", extra=about)
    if unknown or type(invoice_id) is not int or invoice_id < 1:
        message = json.dumps({"invoice_id": invoice_id, **unknown}, sort_keys=True, default=str)
        digest = hashlib.sha256(message.encode()).hexdigest()[:16]
        claims.bury(f"message:{digest}", f"malformed message: {message[:500]}")
        log.error("send-invoice failed for good", extra={**about, "reason": "malformed message"})
        return
    try:
        claim = claims.take(invoice_id)
    except claims.Held as held:
        log.info("invoice is claimed, will retry", extra={**about, "wait": held.wait})
        raise self.retry(exc=held, countdown=max(held.wait, 1))
    except claims.NoSuchInvoice as error:
        claims.bury(f"invoice:{invoice_id}", str(error))
        log.error("send-invoice failed for good", extra={**about, "reason": str(error)})
        return
    except OperationalError as error:
        log.warning("no database, will retry", extra={**about, "reason": str(error)})
        raise self.retry(exc=error, countdown=FIRST_WAIT)
    if claim is None:
        log.info("invoice has been dealt with before", extra=about)
        return

    about["attempt"] = claim.attempts
    if claim.attempts > MAX_ATTEMPTS:
        _give_up(claim, "attempts used up by workers that were lost", about)
        return
    log.info("attempt started", extra=about)
    try:
        _deliver(claim)
    except claims.ClaimLost as error:
        log.warning("stopped, another worker took over", extra={**about, "reason": str(error)})
    except Exception as error:
        if not _may_pass(error) or claim.attempts >= MAX_ATTEMPTS:
            _give_up(claim, repr(error), about)
            return
        wait = min(FIRST_WAIT * FACTOR ** (claim.attempts - 1), LONGEST_WAIT)
        claims.release(claim, wait)
        log.warning("attempt failed, will retry", extra={**about, "reason": repr(error), "wait": wait})
        raise self.retry(exc=error, countdown=wait)
    else:
        log.info("invoice delivered", extra=about)


def _deliver(claim: claims.Claim) -> None:
    with engine().connect() as connection:
        invoice = connection.execute(
            select(invoices).where(invoices.c.id == claim.invoice_id)
        ).one()
    pdf = render(invoice)
    if claim.object_key is None:
        key = f"invoices/{invoice.issued_on.year}/{invoice.number}.pdf"
        vault().put(key=key, body=pdf, content_type="application/pdf")
        claims.note_stored(claim, key)
    post.send(
        to=invoice.email,
        subject=f"Invoice {invoice.number} for {invoice.animal}",
        text=f"Dear {invoice.owner},\n\nplease find our invoice attached.\n",
        filename=f"{invoice.number}.pdf",
        pdf=pdf,
        message_id=f"<invoice-{invoice.number}@petvault.example>",
    )
    claims.finish(claim)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, post.NotSent):
        return error.code < 500
    return isinstance(error, (VaultUnavailable, OperationalError, SoftTimeLimitExceeded))


def _give_up(claim: claims.Claim, reason: str, about: dict) -> None:
    claims.fail(claim, reason)
    log.error("send-invoice failed for good", extra={**about, "reason": reason})
