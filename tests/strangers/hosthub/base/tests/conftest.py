import sqlite3

import fakeredis
import pytest

from hosthub import db, dns, queues, tokens
from hosthub.cloud import Cloud
from hosthub.settings import get_settings


class FakeQueue:
    def __init__(self, jobs):
        self.jobs = jobs

    async def enqueue(self, function, **kwargs):
        self.jobs.append((function, kwargs))

    async def disconnect(self):
        pass


class Outside:
    """The cloud, the DNS and SAQ."""

    def __init__(self, path):
        self.path = path
        self.made, self.records, self.jobs = [], [], []
        self.cloud_errors, self.dns_errors = [], []

    async def create_server(self, cloud, *, name, plan, region, client_token):
        self.made.append(client_token)
        if self.cloud_errors:
            raise self.cloud_errors.pop(0)
        return {"id": f"m-{client_token}", "ip": "192.0.2.7"}

    async def point(self, hostname, ip):
        self.records.append((hostname, ip))
        if self.dns_errors:
            raise self.dns_errors.pop(0)

    def rows(self, sql):
        with sqlite3.connect(self.path) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
async def outside(monkeypatch, tmp_path):
    monkeypatch.setenv("HOSTHUB_DATABASE", str(tmp_path / "hosthub.db"))
    get_settings.cache_clear()
    await db.create(demo=True)
    outside = Outside(tmp_path / "hosthub.db")
    redis = fakeredis.FakeServer()
    monkeypatch.setattr(tokens, "_redis", lambda: fakeredis.FakeAsyncRedis(server=redis))
    monkeypatch.setattr(queues, "make_queue", lambda: FakeQueue(outside.jobs))
    monkeypatch.setattr(dns, "point", outside.point)

    async def create_server(self, **kwargs):
        return await outside.create_server(self, **kwargs)
    monkeypatch.setattr(Cloud, "create_server", create_server)
    yield outside
    get_settings.cache_clear()
