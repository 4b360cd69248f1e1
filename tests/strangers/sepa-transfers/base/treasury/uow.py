"""Repositories and the unit of work on SQLAlchemy."""

from datetime import datetime

from sqlalchemy import Engine, and_, create_engine, delete, or_, select
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import NullPool

from treasury import errors
from treasury.model import Account, AuditEntry, DeadLetter, OutboxMessage, Posting, Transfer, TransferStatus


def engine(dsn: str) -> Engine:
    # pgbouncer pools for us. A pool of our own would be inherited by the worker's forked children.
    return create_engine(dsn, poolclass=NullPool)


class SqlTransfers:
    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, transfer_id: int) -> Transfer | None:
        return self._session.get(Transfer, transfer_id, with_for_update=True, populate_existing=True)

    def stalled(self, now: datetime, released_before: datetime) -> list[Transfer]:
        waiting = select(OutboxMessage.transfer_id).where(OutboxMessage.published_at.is_(None))
        query = (
            select(Transfer)
            .where(
                Transfer.status == TransferStatus.APPROVED,
                or_(
                    Transfer.claimed_until <= now,
                    and_(Transfer.claimed_until.is_(None), Transfer.released_at <= released_before),
                ),
                Transfer.id.not_in(waiting),
            )
            .order_by(Transfer.id)
            .limit(500)
            .with_for_update(skip_locked=True)
        )
        return list(self._session.scalars(query))


class SqlAccounts:
    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, iban: str) -> Account:
        return self._session.get_one(Account, iban, with_for_update=True, populate_existing=True)


class SqlOutbox:
    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, transfer_id: int) -> OutboxMessage | None:
        return self._session.get(OutboxMessage, transfer_id)

    def next_unpublished(self) -> OutboxMessage | None:
        query = (
            select(OutboxMessage)
            .where(OutboxMessage.published_at.is_(None))
            .order_by(OutboxMessage.transfer_id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        return self._session.scalars(query).first()

    def arm(self, transfer_id: int) -> None:
        message = self.find(transfer_id)
        if message is None:
            self._session.add(OutboxMessage(transfer_id=transfer_id, payload={"transfer_id": transfer_id}))
        else:
            message.published_at = None


class SqlDeadLetters:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add_once(self, letter: DeadLetter) -> None:
        try:
            with self._session.begin_nested():
                self._session.add(letter)
        except IntegrityError:
            pass  # recorded by an earlier delivery

    def discard(self, job: str, fingerprint: str) -> None:
        self._session.execute(delete(DeadLetter).where(DeadLetter.job == job, DeadLetter.fingerprint == fingerprint))


class SqlUnitOfWork:
    """One transaction. Leaving the block without commit() rolls back."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> "SqlUnitOfWork":
        self._session = Session(self._engine, expire_on_commit=False)
        self.transfers = SqlTransfers(self._session)
        self.accounts = SqlAccounts(self._session)
        self.outbox = SqlOutbox(self._session)
        self.dead_letters = SqlDeadLetters(self._session)
        return self

    def append(self, entry: AuditEntry | Posting) -> None:
        self._session.add(entry)

    def commit(self) -> None:
        self._session.commit()

    def __exit__(self, kind, error, traceback) -> None:
        try:
            self._session.close()
        except DBAPIError as lost:
            if error is None:
                raise errors.StoreUnavailable(str(lost)) from lost
        if isinstance(error, StaleDataError):
            raise errors.ConcurrentUpdate(str(error)) from error
        if isinstance(error, (OperationalError, InterfaceError)):
            raise errors.StoreUnavailable(str(error.orig)) from error
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise errors.StoreUnavailable(str(error.orig)) from error
