import pytest

from museum import database, paydesk, returns
from museum.settings import settings


@pytest.fixture(autouse=True)
async def museum_db(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "database", str(tmp_path / "museum.db"))
    await database.create(demo=True)


@pytest.fixture
def desk(monkeypatch):
    """PayDesk: `asked` is what it was asked, `answers` what it says, one after the other."""

    class Desk:
        asked: list = []
        answers: list = []

    Desk.asked, Desk.answers = [], []

    async def refund(self, payment_id, amount_cents, request_id):
        Desk.asked.append((payment_id, amount_cents, request_id))
        answer = Desk.answers.pop(0) if Desk.answers else "rf-81"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(paydesk.PayDesk, "refund", refund)
    return Desk


@pytest.fixture
def queued(monkeypatch):
    """The queue is a list."""
    from contextlib import asynccontextmanager

    jobs = []

    class Pool:
        async def enqueue_job(self, name, **kwargs):
            jobs.append((name, kwargs))

    @asynccontextmanager
    async def queue():
        yield Pool()

    monkeypatch.setattr(returns, "queue", queue)
    return jobs
