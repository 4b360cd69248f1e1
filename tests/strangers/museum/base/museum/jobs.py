import asyncio
import functools
import inspect
import logging
import random

from arq import Retry
from sqlalchemy.exc import DBAPIError, OperationalError

from museum import refunds
from museum.joblog import JobLog
from museum.paydesk import PayDesk, PayDeskAway, RefundRefused

ATTEMPTS = 5
DELIVERIES = 10
WORTH_RETRYING = (PayDeskAway, TimeoutError, ConnectionError, OperationalError)

logger = logging.getLogger("museum.jobs")


class BadMessage(refunds.Hopeless):
    pass


class DiesTooOften(refunds.Hopeless):
    pass


def pause(attempt: int) -> float:
    return min(300, 20 * 3 ** (attempt - 1)) * random.uniform(0.5, 1)


def say(exc: BaseException) -> str:
    detail = type(exc.orig).__name__ if isinstance(exc, DBAPIError) else str(exc)[:200]
    return f"{type(exc).__name__}: {detail}"


def refund_job(function):
    """Checks the message, decides what a failure means, and writes down what is given up."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    async def run(ctx, *args, **message):
        attempt, job_id = ctx["job_try"], ctx["job_id"]
        ticket_id = None
        log = JobLog(logger, {"job": function.__name__, "job_id": job_id, "key": "-", "attempt": attempt})
        try:
            try:
                given = signature.bind(ctx, None, *args, **message).arguments["ticket_id"]
            except TypeError as exc:
                raise BadMessage(str(exc)) from None
            if type(given) is not int or not 0 < given < 2**63:
                raise BadMessage(f"ticket_id is a {type(given).__name__} out of range")
            ticket_id = given
            log.extra["key"] = f"ticket-{ticket_id}"
            log.info("started")
            if attempt > DELIVERIES:
                raise DiesTooOften(f"delivery {attempt}")
            outcome = await function(ctx, log, ticket_id)
        except WORTH_RETRYING as exc:
            if attempt < ATTEMPTS:
                wait = pause(attempt)
                log.warning("failed, again in %.0fs: %s", wait, say(exc))
                raise Retry(defer=wait) from exc
            await bury(log, function.__name__, ticket_id, ctx, args, message, exc)
            raise
        except Exception as exc:
            await bury(log, function.__name__, ticket_id, ctx, args, message, exc)
            raise
        log.info("finished: %s", outcome)
        return outcome

    parameters = [p for name, p in signature.parameters.items() if name != "log"]
    run.__signature__ = signature.replace(parameters=parameters)
    return run


async def bury(log, function, ticket_id, ctx, args, message, exc) -> None:
    log.error("dead: %s", say(exc))
    for again in (1, 2, 3):
        try:
            await refunds.give_up(
                ticket_id, function=function, job_id=ctx["job_id"], attempt=ctx["job_try"], error=say(exc),
                message={**message, "args": list(args)} if args else message,
            )
            return
        except OperationalError as trouble:
            log.error("dead letter not written: %s", say(trouble))
            await asyncio.sleep(0.2 * again)


@refund_job
async def refund_ticket(ctx, log, ticket_id):
    refund = await refunds.start(ticket_id)
    if refund.state != "pending":
        return f"nothing to do, {refund.state}"
    async with asyncio.timeout(30):
        paydesk_id = await PayDesk().refund(
            refund.payment_id, amount_cents=refund.amount_cents, request_id=f"museum-ticket-{ticket_id}"
        )
    if not await refunds.settle(ticket_id, paydesk_id):
        return f"{paydesk_id}, settled by somebody else"
    return f"refunded as {paydesk_id}"
