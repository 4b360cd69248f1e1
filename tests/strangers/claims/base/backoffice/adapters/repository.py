from sqlalchemy import select
from sqlalchemy.orm import Session

from backoffice.domain import model


class Repository:
    entity: type

    def __init__(self, session: Session):
        self.session = session

    def add(self, thing) -> None:
        self.session.add(thing)


class Claims(Repository):
    def get(self, claim_no: str) -> model.Claim | None:
        return self.session.get(model.Claim, claim_no)


class Payouts(Repository):
    def get(self, claim_no: str, instalment: int) -> model.Payout | None:
        """The payout, locked until the unit of work ends."""
        return self.session.get(model.Payout, (claim_no, instalment), with_for_update=True)


class Ledger(Repository):
    def book_payout(self, payout: model.Payout) -> None:
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "claims-paid", payout.amount_cents))
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "bank", -payout.amount_cents))


class Outbox(Repository):
    def get(self, id: int) -> model.OutboxMessage:
        return self.session.get(model.OutboxMessage, id)

    def unpublished(self) -> list[model.OutboxMessage]:
        query = select(model.OutboxMessage).where(model.OutboxMessage.published_at.is_(None))
        return list(self.session.scalars(query.order_by(model.OutboxMessage.id)))


class DeadLetters(Repository):
    def get(self, message_id: str) -> model.DeadLetter | None:
        return self.session.get(model.DeadLetter, message_id)

    def all(self) -> list[model.DeadLetter]:
        return list(self.session.scalars(select(model.DeadLetter).order_by(model.DeadLetter.died_at)))
