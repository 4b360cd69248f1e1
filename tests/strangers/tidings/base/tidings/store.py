"""SQLAlchemy, used from coroutines: each unit of work is a function of a session, run in a thread.

python -m tidings.store [--demo]   creates the tables (and two issues with two readers)
"""

import asyncio
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from .models import Base, Issue, Subscriber
from .settings import settings


@lru_cache
def engine() -> Engine:
    return create_engine(settings().database_url, connect_args={"timeout": 15})


async def unit(work: Callable[..., Any], *args: Any) -> Any:
    """Runs work(session, *args) in one transaction, committed before this returns."""

    def call() -> Any:
        with Session(engine(), expire_on_commit=False) as session, session.begin():
            return work(session, *args)

    return await asyncio.to_thread(call)


def create(demo: bool = False) -> None:
    Base.metadata.create_all(engine())
    if demo:
        with Session(engine()) as session, session.begin():
            for number, email in enumerate(("ruth@example.org", "luc@example.org"), 1):
                session.merge(Subscriber(id=number, email=email, active=True))
            for number, subject in enumerate(("The river issue", "The night issue"), 1):
                session.merge(Issue(id=number, subject=subject, html=f"<h1>{subject}</h1>"))


if __name__ == "__main__":
    create(demo="--demo" in sys.argv)
