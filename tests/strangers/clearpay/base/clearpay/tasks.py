import json
from hashlib import sha256

import structlog
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from sqlalchemy.exc import OperationalError

from . import clock, payouts, periods
from .app import app
from .bank import AlreadyExecuted, BankClient, BankUnavailable
from .settings import settings

logger = structlog.get_logger()
PASSING = (BankUnavailable, OperationalError)


class BadMessage(Exception):
    pass


class PayClaim(BaseModel):
    model_config = ConfigDict(extra="forbid")
    claim_id: StrictInt = Field(ge=1, le=2**53)


class ClosePeriod(BaseModel):
    model_config = ConfigDict(extra="forbid")


def read(kind: type[BaseModel], message: dict):
    try:
        return kind.model_validate(message)
    except ValidationError as exc:
        faults = ", ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in exc.errors())
        raise BadMessage(faults) from None


@app.task(bind=True, name="clearpay.pay_claim")
def pay_claim(self, **message):
    log = logger.bind(
        job="pay-claim", job_id=self.request.id, key=key_of(message), attempt=self.request.retries + 1
    )
    log.info("job started", outcome="started")
    try:
        claim_id = read(PayClaim, message).claim_id
        payout = payouts.begin(claim_id)
        if payout is None:
            log.info("job ended", outcome="nothing to do")
            return
        try:
            bank_ref = BankClient().pay(
                iban=payout.iban, amount_cents=payout.amount_cents, idempotency_key=payout.reference
            )
        except AlreadyExecuted as done:
            bank_ref = done.bank_ref
        payouts.settle(claim_id, bank_ref)
    except PASSING as exc:
        again(self, log, exc, lambda: payouts.bury(key_of(message), message, reason(exc)))
    except Exception as exc:
        give_up(self, log, exc, lambda: payouts.bury(key_of(message), message, reason(exc)))
    else:
        log.info("job ended", outcome="paid", bank_ref=bank_ref)


@app.task(bind=True, name="clearpay.close_period")
def close_period(self, **message):
    log = logger.bind(job="close-period", job_id=self.request.id, key="-", attempt=self.request.retries + 1)
    log.info("job started", outcome="started")
    try:
        read(ClosePeriod, message)
        closed = periods.close_ended(clock.today())
    except PASSING as exc:
        again(self, log, exc, lambda: periods.bury(message, clock.today(), reason(exc)))
    except Exception as exc:
        give_up(self, log, exc, lambda: periods.bury(message, clock.today(), reason(exc)))
    else:
        log.info("job ended", outcome="closed", periods=closed)


def key_of(message: dict) -> str:
    try:
        return str(read(PayClaim, message).claim_id)
    except BadMessage:
        return "bad-" + sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]


def again(task, log, exc, bury):
    if task.request.retries + 1 >= settings.max_attempts:
        give_up(task, log, exc, bury)
    else:
        retry(task, log, exc)


def give_up(task, log, exc, bury):
    try:
        buried = bury()
    except OperationalError as locked:
        if task.request.retries + 1 < settings.max_attempts:
            retry(task, log, locked)
        raise
    if buried:
        log.error("job ended", outcome="dead", reason=reason(exc))
        raise exc
    log.info("job ended", outcome="nothing to do")


def retry(task, log, exc):
    wait = min(settings.first_wait * 2**task.request.retries, settings.longest_wait)
    log.warning("job will be retried", outcome="retry", reason=reason(exc), wait=wait)
    raise task.retry(exc=exc, countdown=wait, max_retries=settings.max_attempts - 1)


def reason(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".splitlines()[0][:200]
