from __future__ import annotations

import os

import psycopg
import pytest

from kassa import schema
from kassa.store import PaymentStore


@pytest.fixture
def dsn() -> str:
    value = os.environ.get("KASSA_TEST_DSN")
    if not value:
        pytest.skip("KASSA_TEST_DSN is not set")
    with psycopg.connect(value) as connection:
        connection.execute("DROP TABLE IF EXISTS payments, dead_letters")
    schema.create(value, demo=True)
    return value


@pytest.fixture
def store(dsn: str) -> PaymentStore:
    return PaymentStore(dsn)
