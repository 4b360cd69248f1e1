import structlog
from arq import Retry
from sqlalchemy.exc import InterfaceError, OperationalError
from structlog.contextvars import bound_contextvars

from hauspay import Charged, Declined, HausPay, TryLater

from . import ledger
from .config import Config
from .policy import CHARGING

log = structlog.get_logger()
STORE_TRIES = 20


async def renew(ctx, renewal_id=None, **unknown) -> str:
    """Charge a renewal, once. The row counts the attempts; the queue only brings it back."""
    with bound_contextvars(job="renew", job_id=ctx.get("job_id"), delivery=ctx.get("job_try", 1)):
        valid = not unknown and type(renewal_id) is int and 0 < renewal_id < 2**31
        with bound_contextvars(key=f"renewal:{renewal_id}" if valid else None, attempt=0):
            try:
                if valid:
                    return await _renew(renewal_id)
                await ledger.refuse((renewal_id, sorted(unknown)))
                log.error("renew", outcome="invalid_message")
                return "invalid_message"
            except (OperationalError, InterfaceError) as exc:
                log.warning("renew", outcome="store_away", error=type(exc).__name__)
                if ctx.get("job_try", 1) >= STORE_TRIES:
                    raise  # gives the job id back; from here on the sweep brings it
                raise Retry(defer=30) from None


async def _renew(renewal_id: int) -> str:
    claim = await ledger.claim(renewal_id)
    match claim:
        case ledger.Ended("missing"):
            await ledger.refuse((renewal_id, []))
            log.error("renew", outcome="missing")
            return "missing"
        case ledger.Ended("parked", str(reason)):
            log.error("renew", outcome="parked", reason=reason)
            return "parked"
        case ledger.Ended(status):
            log.info("renew", outcome=f"ended_{status}")
            return status
        case ledger.Busy(seconds):
            log.info("renew", outcome="busy", wait=round(seconds))
            raise Retry(defer=seconds + 1)

    with bound_contextvars(key=claim.key, attempt=claim.attempt):
        pay = HausPay(Config().pay_url, Config().pay_token)
        result = await pay.charge(
            key=claim.key, account=claim.account, amount_cents=claim.amount_cents, text=claim.text)
        match result:
            case Charged(charge_id):
                status = await ledger.charged(renewal_id, charge_id)
                if status != "charged":
                    log.error("renew", outcome=f"charged_although_{status}", charge_id=charge_id)
                else:
                    log.info("renew", outcome="charged", charge_id=charge_id)
                return status
            case Declined(code):
                kept = await ledger.declined(claim)
                log.info("renew", outcome="declined" if kept else "overtaken", code=code)
                return "declined"
            case TryLater(reason):
                return await _later(claim, reason)
        raise TypeError(f"unknown result {type(result).__name__}")


async def _later(claim: ledger.Claim, reason: str) -> str:
    wait = CHARGING.wait_after(claim.attempt)
    if wait is None:
        kept = await ledger.park(claim, reason)
        log.error("renew", outcome="parked" if kept else "overtaken", reason=reason)
        return "parked"
    if not await ledger.put_back(claim, wait):
        log.warning("renew", outcome="overtaken", reason=reason)
        return "overtaken"
    log.warning("renew", outcome="retry", reason=reason, wait=wait.total_seconds())
    raise Retry(defer=wait)
