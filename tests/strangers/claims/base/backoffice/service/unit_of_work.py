from functools import lru_cache

from sqlalchemy.orm import Session, sessionmaker

from backoffice.adapters import orm, repository
from backoffice.config import Settings


@lru_cache(maxsize=1)
def default_sessions() -> sessionmaker:
    return sessionmaker(orm.make_engine(Settings.from_env().db_url))


class UnitOfWork:
    """Everything between `with uow:` and `uow.commit()` happens, or nothing of it."""

    session: Session

    def __init__(self, sessions: sessionmaker | None = None):
        self._sessions = sessions or default_sessions()

    def __enter__(self) -> "UnitOfWork":
        self.session = self._sessions()
        self.claims = repository.Claims(self.session)
        self.payouts = repository.Payouts(self.session)
        self.ledger = repository.Ledger(self.session)
        self.outbox = repository.Outbox(self.session)
        self.dead_letters = repository.DeadLetters(self.session)
        return self

    def __exit__(self, *_exc) -> None:
        self.session.rollback()
        self.session.close()

    def commit(self) -> None:
        self.session.commit()
