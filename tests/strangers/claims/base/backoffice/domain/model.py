"""Claims and what is paid on them. No SQL in here, see adapters/orm.py."""

from datetime import datetime, timezone

APPROVED = "approved"
PAID = "paid"
REJECTED = "rejected"


def now() -> datetime:
    return datetime.now(timezone.utc)


class ClaimNotPayable(Exception):
    """There is no such claim or instalment, or nobody has approved it."""


class Claim:
    def __init__(self, claim_no: str, policy_no: str, holder: str, iban: str, status: str = APPROVED):
        self.claim_no = claim_no
        self.policy_no = policy_no
        self.holder = holder
        self.iban = iban
        self.status = status


class Payout:
    """One instalment of a claim."""

    def __init__(self, claim_no: str, instalment: int, amount_cents: int):
        self.claim_no = claim_no
        self.instalment = instalment
        self.amount_cents = amount_cents
        self.status = APPROVED
        self.payment_id = None
        self.reject_code = None
        self.released_at = None
        self.paid_at = None

    @property
    def bank_key(self) -> str:
        return f"claim-{self.claim_no}-{self.instalment}"

    def release(self) -> bool:
        if self.released_at is not None or self.status != APPROVED:
            return False
        self.released_at = now()
        return True

    def mark_paid(self, payment_id: str) -> None:
        self.status = PAID
        self.payment_id = payment_id
        self.paid_at = now()

    def reject(self, code: str) -> None:
        self.status = REJECTED
        self.reject_code = code


class LedgerEntry:
    def __init__(self, claim_no: str, instalment: int, account: str, amount_cents: int):
        self.claim_no = claim_no
        self.instalment = instalment
        self.account = account
        self.amount_cents = amount_cents
        self.booked_at = now()


class OutboxMessage:
    def __init__(self, claim_no: str, instalment: int):
        self.claim_no = claim_no
        self.instalment = instalment
        self.published_at = None


class DeadLetter:
    def __init__(self, message_id: str, actor: str, payload: str, error: str):
        self.message_id = message_id
        self.actor = actor
        self.payload = payload
        self.error = error
        self.died_at = now()
