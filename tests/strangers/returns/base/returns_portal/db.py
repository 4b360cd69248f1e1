"""Sessions. Every transaction takes SQLite's write lock at its beginning, so what it has read stays true until it commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from returns_portal import config


@lru_cache(maxsize=4)
def _engine(path: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 15})

    @event.listens_for(engine, "connect")
    def _no_implicit_begin(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def engine() -> Engine:
    return _engine(config.load().database)


@contextmanager
def transaction() -> Iterator[Session]:
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session
