"""The only place that knows how claims and dead letters are stored. Transactions belong to the service."""
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from apotheke.model import Claim, ClaimStatus, DeadLetter


class ClaimRepository:
    def __init__(self, session: Session):
        self._session = session

    def get(self, claim_id: int) -> Claim | None:
        return self._session.get(Claim, claim_id, populate_existing=True)

    def stalled(self, moment: datetime) -> list[int]:
        wanted = select(Claim.id).where(Claim.status == ClaimStatus.RELEASED, Claim.due_at <= moment)
        return list(self._session.scalars(wanted.order_by(Claim.due_at, Claim.id)))

    def change(self, claim_id: int, *sources: ClaimStatus, **values) -> bool:
        """Change a claim that is in one of these states; False if it is in none of them."""
        statement = update(Claim).where(Claim.id == claim_id, Claim.status.in_(sources)).values(**values)
        return self._session.execute(statement.execution_options(synchronize_session=False)).rowcount == 1


class DeadLetterRepository:
    def __init__(self, session: Session):
        self._session = session

    def add(self, **letter) -> bool:
        return self._session.execute(insert(DeadLetter).values(**letter).on_conflict_do_nothing()).rowcount == 1

    def drop(self, key: str) -> None:
        self._session.execute(delete(DeadLetter).where(DeadLetter.key == key))
