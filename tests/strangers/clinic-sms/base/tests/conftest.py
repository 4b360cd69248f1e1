import sqlite3

import fakeredis
import pytest

from clinic import db, queue, schema, settings


class Provider:
    def __init__(self):
        self.failures = []
        self.refs = []

    async def send(self, phone, text, *, client_ref):
        self.refs.append(client_ref)
        if self.failures:
            raise self.failures.pop(0)
        return f"msg-{client_ref}"


@pytest.fixture
async def rows(tmp_path, monkeypatch):
    monkeypatch.setenv("CLINIC_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/clinic.db")
    settings.get_settings.cache_clear()
    db.engine.cache_clear()
    await schema.main()

    def query(sql):
        connection = sqlite3.connect(tmp_path / "clinic.db")
        try:
            with connection:
                return connection.execute(sql).fetchall()
        finally:
            connection.close()

    yield query
    settings.get_settings.cache_clear()
    db.engine.cache_clear()


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def ctx(provider):
    return {"sms": provider, "job_id": "confirmation:7", "job_try": 1}


@pytest.fixture
def redis(monkeypatch):
    """arq's pool on a Redis in this process."""
    from arq.connections import ArqRedis

    server = fakeredis.FakeServer()

    async def create_pool(*_, **__):
        fake = fakeredis.FakeAsyncRedis(server=server)
        return ArqRedis(pool_or_conn=fake.connection_pool)

    monkeypatch.setattr(queue, "create_pool", create_pool)
    return fakeredis.FakeStrictRedis(server=server)
