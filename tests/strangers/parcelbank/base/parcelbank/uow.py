"""The unit of work and its repositories."""
from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from sqlalchemy import create_engine, or_, select
from sqlalchemy.orm import Session, sessionmaker

from parcelbank import settings
from parcelbank.models import (
    APPROVED, SENDING, DeadLetter, OutboxMessage, Payout, UnknownPayout,
)


@lru_cache(maxsize=1)
def engine():
    return create_engine(settings.load().database_url)


class PayoutRepository:
    def __init__(self, session: Session):
        self._session = session

    def find(self, ref: str) -> Payout | None:
        return self._session.get(Payout, ref)

    def get(self, ref: str) -> Payout:
        payout = self.find(ref)
        if payout is None:
            raise UnknownPayout(ref)
        return payout

    def stuck(self, before: datetime) -> list[Payout]:
        open_ = or_(Payout.status == SENDING, (Payout.status == APPROVED) & Payout.released_at.is_not(None))
        return list(self._session.scalars(select(Payout).where(open_, Payout.touched_at <= before)))


class OutboxRepository:
    def __init__(self, session: Session):
        self._session = session

    def add_once(self, task: str, key: str, kwargs: dict) -> None:
        known = select(OutboxMessage.id).where(OutboxMessage.task == task, OutboxMessage.key == key)
        if self._session.scalar(known) is None:
            self._session.add(OutboxMessage(task=task, key=key, kwargs=kwargs))

    def unpublished(self) -> list[OutboxMessage]:
        waiting = select(OutboxMessage).where(OutboxMessage.published_at.is_(None))
        return list(self._session.scalars(waiting.order_by(OutboxMessage.id)))


class DeadLetterRepository:
    def __init__(self, session: Session):
        self._session = session

    def add_once(self, letter: DeadLetter) -> None:
        if self._session.get(DeadLetter, letter.message_id) is None:
            self._session.add(letter)


class UnitOfWork:
    """One transaction. What is not committed is rolled back."""

    def __enter__(self) -> "UnitOfWork":
        self.session = sessionmaker(engine(), expire_on_commit=False)()
        self.payouts = PayoutRepository(self.session)
        self.outbox = OutboxRepository(self.session)
        self.dead_letters = DeadLetterRepository(self.session)
        return self

    def __exit__(self, *exc_info) -> None:
        self.session.close()  # rolls back what is open

    def commit(self) -> None:
        self.session.commit()
