"""What may happen to a renewal. Each function is one transaction, and none is open while the service is asked."""
import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from .config import KEY_LIFETIME, Config
from .models import DeadLetter, Renewal, Subscription, now
from .policy import CHARGING
from .store import session

OPEN = ("due", "charging")


@dataclass(frozen=True)
class Claim:
    renewal_id: int
    attempt: int
    key: str
    account: str
    amount_cents: int
    text: str


@dataclass(frozen=True)
class Busy:
    seconds: float


@dataclass(frozen=True)
class Ended:
    status: str
    reason: str | None = None  # where it has ended just now


async def open_renewal(subscription_id: int) -> int | None:
    """The renewal for the period that follows what is paid; the one that is there, if it is."""
    for _ in range(2):
        try:
            async with session() as s, s.begin():
                sub = await s.get(Subscription, subscription_id)
                if sub is None or sub.status == "cancelled":
                    return None
                known = await s.scalar(select(Renewal.id).where(
                    Renewal.subscription_id == sub.id, Renewal.period_start == sub.paid_until))
                if known is not None:
                    return known
                renewal = Renewal(
                    subscription_id=sub.id, period_start=sub.paid_until, amount_cents=sub.price_cents,
                    period_end=sub.paid_until + timedelta(days=sub.period_days))
                s.add(renewal)
                await s.flush()
                return renewal.id
        except IntegrityError:
            continue  # somebody else was faster; the second look finds theirs
    return None


async def claim(renewal_id: int) -> Claim | Busy | Ended:
    """Count the attempt and take the lease, before any money can move."""
    moment = now()
    async with session() as s, s.begin():
        renewal = await s.get(Renewal, renewal_id, with_for_update=True)
        if renewal is None:
            return Ended("missing")
        if renewal.status not in OPEN:
            return Ended(renewal.status)
        if renewal.status == "charging" and renewal.wake_at > moment:
            return Busy((renewal.wake_at - moment).total_seconds())
        sub = await s.get(Subscription, renewal.subscription_id)
        as_read = (Renewal.id == renewal_id, Renewal.status == renewal.status,
                   Renewal.attempts == renewal.attempts)
        if sub.status == "cancelled" and renewal.attempts == 0:
            # One whose charging has begun is carried through: the money may be on its way.
            return Ended("void") if await _move(s, as_read, status="void") else Busy(1)
        reason = None
        if renewal.attempts >= CHARGING.attempts:
            reason = "worker_lost"
        elif renewal.first_try_at is not None and moment - renewal.first_try_at > KEY_LIFETIME:
            reason = "key_forgotten"  # asked once more, the service might charge a second time
        if reason is not None:
            if not await _move(s, as_read, status="parked"):
                return Busy(1)
            s.add(DeadLetter(key=renewal.key, renewal_id=renewal_id, reason=reason, attempts=renewal.attempts))
            return Ended("parked", reason)
        attempt = renewal.attempts + 1
        if not await _move(s, as_read, status="charging", attempts=attempt, wake_at=moment + Config().lease,
                           first_try_at=renewal.first_try_at or moment):
            return Busy(1)
        return Claim(renewal_id, attempt, renewal.key, sub.pay_account, renewal.amount_cents,
                     f"{sub.title} {renewal.period_start:%d.%m.%Y}-{renewal.period_end:%d.%m.%Y}")


async def charged(renewal_id: int, charge_id: str) -> str:
    """True whoever asked, and however late: one key is one charge."""
    async with session() as s, s.begin():
        if not await _move(s, (Renewal.id == renewal_id, Renewal.status.in_(OPEN)),
                           status="charged", charge_id=charge_id):
            return await s.scalar(select(Renewal.status).where(Renewal.id == renewal_id))
        renewal = await s.get(Renewal, renewal_id)
        await s.execute(
            update(Subscription)
            .where(Subscription.id == renewal.subscription_id, Subscription.paid_until < renewal.period_end)
            .values(paid_until=renewal.period_end).execution_options(synchronize_session=False))
        return "charged"


async def declined(claim: Claim) -> bool:
    async with session() as s, s.begin():
        if not await _move(s, _mine(claim), status="declined"):
            return False
        renewal = await s.get(Renewal, claim.renewal_id)
        await s.execute(
            update(Subscription)
            .where(Subscription.id == renewal.subscription_id, Subscription.status == "active")
            .values(status="overdue").execution_options(synchronize_session=False))
        return True


async def put_back(claim: Claim, wait) -> bool:
    async with session() as s, s.begin():
        return await _move(s, _mine(claim), status="due", wake_at=now() + wait)


async def park(claim: Claim, reason: str) -> bool:
    async with session() as s, s.begin():
        if not await _move(s, _mine(claim), status="parked"):
            return False
        s.add(DeadLetter(key=claim.key, renewal_id=claim.renewal_id, reason=reason[:60], attempts=claim.attempt))
        return True


async def refuse(message) -> None:
    """Keep a digest of a message that is not ours, once."""
    key = "message-" + hashlib.sha256(repr(message).encode()).hexdigest()[:24]
    try:
        async with session() as s, s.begin():
            if await s.get(DeadLetter, key) is None:
                s.add(DeadLetter(key=key, reason="invalid_message"))
    except IntegrityError:
        pass


def _mine(claim: Claim):
    return Renewal.id == claim.renewal_id, Renewal.status == "charging", Renewal.attempts == claim.attempt


async def _move(s, where, **values) -> bool:
    result = await s.execute(
        update(Renewal).where(*where).values(**values).execution_options(synchronize_session=False))
    return result.rowcount == 1
