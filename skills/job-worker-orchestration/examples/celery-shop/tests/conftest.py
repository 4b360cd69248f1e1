"""A database and an outbox for each test, and a provider that can be down."""

import sqlite3
from pathlib import Path

import pytest

from shop import mailer, schema


class Provider:
    """Stands in for the mail API: fails as told, and drops a key that it has seen."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []  # raised one by one, before anything is sent
        self.calls: list[str] = []  # the key of every call
        self.inbox: dict[str, str] = {}  # key -> address

    def send(self, order_id: int, email: str, *, idempotency_key: str) -> None:
        self.calls.append(idempotency_key)
        if self.failures:
            raise self.failures.pop(0)
        self.inbox.setdefault(idempotency_key, email)


class Shop:
    """Reads what the shop wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, query: str) -> list[tuple]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def receipts(self) -> list[tuple]:
        return self.rows("SELECT order_id, email FROM receipts ORDER BY 1")

    def dead_jobs(self) -> list[tuple]:
        return self.rows("SELECT job, order_id, reason FROM dead_jobs ORDER BY 2")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    monkeypatch.setenv("SHOP_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.delenv("SHOP_MAIL_URL", raising=False)
    schema.create()
    return Shop(tmp_path / "shop.db")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    provider = Provider()
    monkeypatch.setattr(mailer, "send", provider.send)
    return provider
