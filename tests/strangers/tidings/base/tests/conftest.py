import pytest

from tidings import editions, store
from tidings.settings import settings


@pytest.fixture(autouse=True)
def fresh_store(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDINGS_DATABASE_URL", f"sqlite:///{tmp_path}/tidings.db")
    settings.cache_clear()
    store.engine.cache_clear()
    store.create(demo=True)
    yield
    store.engine().dispose()


@pytest.fixture
def rows():
    def read(sql):
        with store.engine().connect() as con:
            return [tuple(row) for row in con.exec_driver_sql(sql)]

    return read


@pytest.fixture
def queue(monkeypatch):
    class Pool:
        jobs = []

        async def enqueue_job(self, name, **kwargs):
            self.jobs.append((name, kwargs))

        async def aclose(self):
            pass

    pool = Pool()
    pool.jobs = []

    async def create_pool(redis_settings):
        return pool

    monkeypatch.setattr(editions, "create_pool", create_pool)
    return pool
