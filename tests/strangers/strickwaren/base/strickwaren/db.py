import sys
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from strickwaren.settings import get_settings


@lru_cache
def _sessions(url: str) -> sessionmaker[Session]:
    return sessionmaker(create_engine(url, connect_args={"timeout": 15}), expire_on_commit=False)


@contextmanager
def transaction():
    with _sessions(get_settings().database_url).begin() as session:
        yield session


def create_tables(samples: bool = False) -> None:
    from strickwaren.models import Base, Return

    with transaction() as session:
        Base.metadata.create_all(session.connection())
        if samples:
            for number, order, cents in [("R-2041", "B-77310", 8990), ("R-2042", "B-77402", 12900), ("R-2043", "B-77411", 4550)]:
                session.merge(
                    Return(number=number, order_number=order, payment_id=f"pay_{order[2:]}", amount_cents=cents)
                )


if __name__ == "__main__":
    create_tables(samples="--samples" in sys.argv)
