import hashlib
import json
import logging

from arq import Retry
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from . import config, gateway
from .model import Bill
from .uow import Conflict, UnitOfWork

log = logging.getLogger("wasserwerk.send_bill")


def record(level: int, ctx: dict, outcome: str, bill: Bill | None = None, **more) -> None:
    log.log(level, outcome, extra={
        "job": "send_bill", "job_id": ctx.get("job_id"), "delivery": ctx.get("job_try", 1),
        "key": bill.number if bill else None, "attempt": bill.attempts if bill else 0, "outcome": outcome, **more,
    })


async def send_bill(ctx: dict, bill_id: int | None = None, **unknown) -> str:
    """Put one bill to the gateway. The row counts the attempts; arq only brings the job back."""
    try:
        if unknown or type(bill_id) is not int or not 0 < bill_id < 2**31:
            return await refuse(ctx, {"bill_id": bill_id, **unknown}, "BadMessage")
        return await _send(ctx, bill_id)
    except Conflict:
        record(logging.INFO, ctx, "conflict", bill_id=bill_id)
        error = "Conflict"
    except (DBAPIError, SQLAlchemyError, OSError) as exc:
        error = type(exc).__name__
        record(logging.WARNING, ctx, "store-away", bill_id=bill_id, error=error)
    if ctx.get("job_try", 1) >= config.STORE_TRIES:
        # From here on it is the sweep that brings it back.
        record(logging.ERROR, ctx, "left-to-sweep", bill_id=bill_id, error=error)
        return "left-to-sweep"
    raise Retry(defer=config.STORE_WAIT)


async def _send(ctx: dict, bill_id: int) -> str:
    async with UnitOfWork() as uow:
        bill = await uow.bills.get(bill_id)
        if bill is None:
            return await refuse(ctx, {"bill_id": bill_id}, "NoSuchBill")
        if not bill.open:
            record(logging.INFO, ctx, f"already-{bill.status}", bill)
            return bill.status
        if bill.attempts >= config.MAX_ATTEMPTS:
            # The last attempt did not live to tell.
            return await park(ctx, bill_id, "Exhausted")
        bill.status = "released"
        bill.attempts += 1
        await uow.commit()

    record(logging.INFO, ctx, "started", bill)
    try:
        receipt = await gateway.put_invoice(bill.number, bill.invoice())
    except gateway.InvoiceRefused as error:
        return await park(ctx, bill_id, f"refused: {error}")
    except gateway.GatewayAway as error:
        if bill.attempts >= config.MAX_ATTEMPTS:
            return await park(ctx, bill_id, f"away: {error}")
        wait = config.wait_after(bill.attempts)
        record(logging.WARNING, ctx, "retry", bill, error=str(error), wait=wait)
        raise Retry(defer=wait) from None
    return await sent(ctx, bill_id, receipt)


async def sent(ctx: dict, bill_id: int, receipt: str) -> str:
    """The invoice is there, whatever has happened to the row meanwhile: also out of parked."""
    for _ in range(5):
        try:
            async with UnitOfWork() as uow:
                bill = await uow.bills.get(bill_id)
                if bill.status != "sent":
                    bill.status = "sent"
                    bill.receipt = receipt
                    await uow.parked.drop(bill.number)
                    await uow.commit()
                record(logging.INFO, ctx, "sent", bill)
                return "sent"
        except Conflict:
            continue
    raise Conflict


async def park(ctx: dict, bill_id: int, reason: str) -> str:
    """Given up, unless somebody else has brought it to an end."""
    for _ in range(5):
        try:
            async with UnitOfWork() as uow:
                bill = await uow.bills.get(bill_id)
                if bill.open:
                    bill.status = "parked"
                    await uow.parked.put(bill.number, reason, bill.attempts, bill.id)
                    await uow.commit()
                    record(logging.ERROR, ctx, "parked", bill, error=reason)
                else:
                    record(logging.INFO, ctx, f"already-{bill.status}", bill)
                return bill.status
        except Conflict:
            continue
    raise Conflict


async def refuse(ctx: dict, message: dict, reason: str) -> str:
    """A message that no bill belongs to. Its content goes nowhere, only its digest."""
    text = json.dumps(message, sort_keys=True, default=str)
    ref = "message-" + hashlib.sha256(text.encode()).hexdigest()[:32]
    try:
        async with UnitOfWork() as uow:
            await uow.parked.put(ref, reason, 1)
            await uow.commit()
    except Conflict:
        pass  # the same message beside us
    record(logging.ERROR, ctx, "refused-message", error=reason, ref=ref)
    return "refused"
