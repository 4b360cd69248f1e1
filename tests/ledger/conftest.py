"""A PostgreSQL for all tests of this folder, and a database of its own for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from skillrun.proof.services.errors import ServiceMissing
from skillrun.proof.services.postgres import PostgresServer

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    try:
        made = PostgresServer(tmp_path_factory.mktemp("pg"))
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    yield made
    made.stop()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """An empty database of its own."""
    name = f"ledger{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return server.url.replace("/app?", f"/{name}?")
