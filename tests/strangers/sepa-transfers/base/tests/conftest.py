import os
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from treasury import bootstrap, composition, model, tasks, uow


class FakeGateway:
    """De-duplicates by end-to-end id, and fails as told: (before, after) the work."""

    def __init__(self) -> None:
        self.before: list[Exception] = []
        self.after: list[Exception] = []
        self.calls: list[str] = []
        self.paid: dict[str, int] = {}

    def submit(self, *, end_to_end_id, debtor_iban, creditor_iban, amount_cents, currency):
        self.calls.append(end_to_end_id)
        if self.before:
            raise self.before.pop(0)
        self.paid.setdefault(end_to_end_id, amount_cents)
        if self.after:
            raise self.after.pop(0)
        return f"CLR-{end_to_end_id}"


class Bank:
    def __init__(self, engine) -> None:
        self.engine = engine
        self.gateway = FakeGateway()
        self.published: list[dict] = []
        self.now = datetime(2024, 5, 2, 9, 0, tzinfo=UTC)

    def clock(self) -> datetime:
        return self.now

    def later(self, **delta) -> None:
        self.now += timedelta(**delta)

    def publish(self, payload) -> None:
        self.published.append(payload)

    def uow(self) -> uow.SqlUnitOfWork:
        return uow.SqlUnitOfWork(self.engine)

    def rows(self, query: str) -> list[tuple]:
        with Session(self.engine) as session:
            return [tuple(row) for row in session.execute(text(query))]


@pytest.fixture
def bank(tmp_path, monkeypatch):
    dsn = os.environ.get("TREASURY_TEST_DSN", f"sqlite:///{tmp_path}/treasury.db")
    monkeypatch.setenv("TREASURY_DSN", dsn)
    composition._engine.cache_clear()
    engine = composition._engine()
    model.Base.metadata.drop_all(engine)
    bootstrap.create(str(engine.url.render_as_string(hide_password=False)))
    bank = Bank(engine)
    monkeypatch.setattr(composition, "HttpSepaGateway", lambda url, token: bank.gateway)
    monkeypatch.setattr(tasks.execute_transfer, "retry_backoff", 0)
    return bank
