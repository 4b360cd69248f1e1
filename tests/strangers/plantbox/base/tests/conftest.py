import sqlite3

import pytest

from plantbox import greenpack, models, shipping
from plantbox.config import config


class Greenpack:
    def __init__(self):
        self.calls, self.errors, self.meanwhile = [], [], None

    async def put_parcel(self, *, number, sku, ship_to):
        self.calls.append((number, sku, ship_to["town"]))
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            await meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        return {"reference": f"GP-{number}"}


class FakeQueue:
    def __init__(self):
        self.jobs, self.down = [], False

    async def enqueue(self, function, **kwargs):
        if self.down:
            raise ConnectionError("redis is away")
        self.jobs.append((function, kwargs))

    async def disconnect(self):
        pass


@pytest.fixture(autouse=True)
async def database(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "database_url", f"sqlite+aiosqlite:///{tmp_path}/plantbox.db")
    models.engine.cache_clear()
    await models.create(demo=True)
    yield
    await models.engine().dispose()
    models.engine.cache_clear()


@pytest.fixture
def sql(tmp_path):
    def run(statement, *args):
        with sqlite3.connect(tmp_path / "plantbox.db") as connection:
            return connection.execute(statement, args).fetchall()

    return run


@pytest.fixture
def partner(monkeypatch):
    partner = Greenpack()
    monkeypatch.setattr(greenpack, "put_parcel", partner.put_parcel)
    return partner


@pytest.fixture
def queue(monkeypatch):
    queue = FakeQueue()
    monkeypatch.setattr(shipping, "make_queue", lambda: queue)
    return queue
