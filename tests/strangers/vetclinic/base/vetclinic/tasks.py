import re

import structlog

from . import lab, ledger, sms
from .broker import broker
from .errors import BadMessage

logger = structlog.get_logger()

REF = re.compile(r"lab-[0-9a-z-]{1,36}")


@broker.task(task_name="vetclinic.book_lab_test", ledger=True)
async def book_lab_test(ref: str = "", **surplus) -> None:
    """Order the test at the laboratory, once, and text the owner that it is under way."""
    if surplus or not isinstance(ref, str) or not REF.fullmatch(ref):
        raise BadMessage("expected a ref, and nothing else")
    claim = await ledger.claim(ref)
    if claim is None:
        logger.info("lab_test", key=ref, outcome="ended_before")
        return
    log = logger.bind(key=ref, attempt=claim.attempt)
    log.info("lab_test", outcome="started")
    try:
        if claim.lab_order_id is None:
            await ledger.ordered(claim, await order_once(claim))
            log.info("lab_test", outcome="ordered")
        if not claim.texted:
            await sms.send_text(
                to=claim.owner_phone,
                text=f"The {claim.panel} test for {claim.animal} is under way. We call you with the results.",
                client_ref=f"booked-{ref}",
            )
        await ledger.booked(claim)
    except Exception:
        await ledger.let_go(claim)
        raise
    log.info("lab_test", outcome="booked")


async def order_once(claim: ledger.Claim) -> str:
    """An earlier attempt may have ordered without hearing of it."""
    known = await lab.find_order(claim.ref)
    if known is not None:
        return known
    return await lab.place_order(
        reference=claim.ref, panel=claim.panel, animal=claim.animal, idempotency_key=f"order-{claim.ref}"
    )
