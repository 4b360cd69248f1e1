"""python -m adexchange.db [--demo]"""
import sys
from functools import lru_cache

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from . import settings
from .models import Base, Campaign, TopUp


@lru_cache
def _sessions(url):
    # NullPool: the work horses are forks of the worker.
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 10})
    return sessionmaker(engine, expire_on_commit=False)


def begin() -> Session:
    """A session in a transaction, which is committed at the end of the block."""
    return _sessions(settings.database_url()).begin()


def create(demo=False):
    with begin() as session:
        Base.metadata.create_all(session.connection())
        if demo:
            session.merge(Campaign(id=1, name="Spring sale", provider_ref="cmp-71", budget_cents=100_000))
            session.merge(Campaign(id=2, name="Newsletter", provider_ref="cmp-72", budget_cents=0))
            session.flush()
            session.merge(TopUp(order_no="TU-1002", campaign_id=1, amount_cents=5_000, idempotency_key="demo-1002"))
            session.merge(TopUp(order_no="TU-1003", campaign_id=2, amount_cents=12_500, idempotency_key="demo-1003"))


if __name__ == "__main__":
    create("--demo" in sys.argv)
