import pytest

from hauspay import Charged, HausPay
from lesekreis import ledger, store


class Till:
    """Stands for the payment service: one charge per key. `script` answers, or dies, before or after it."""

    def __init__(self):
        self.charges, self.asked, self.script = {}, [], []

    async def charge(self, *, key, account, amount_cents, text):
        self.asked.append(key)
        step = self.script.pop(0) if self.script else None
        if callable(step):
            step = await step()
        if isinstance(step, tuple):  # ("taken", answer): the money moves, the answer is another one
            self.charges.setdefault(key, f"ch_{len(self.charges) + 1}")
            step = step[1]
        if isinstance(step, BaseException):
            raise step
        if step is not None:
            return step
        return Charged(self.charges.setdefault(key, f"ch_{len(self.charges) + 1}"))


@pytest.fixture
async def database(tmp_path, monkeypatch):
    monkeypatch.setenv("LESEKREIS_DATABASE", f"sqlite+aiosqlite:///{tmp_path}/lesekreis.db")
    store.engine.cache_clear()
    await store.create(demo=True)
    yield
    await store.engine().dispose()
    store.engine.cache_clear()


@pytest.fixture
def till(monkeypatch):
    till = Till()
    monkeypatch.setattr(HausPay, "charge", lambda self, **kw: till.charge(**kw))
    return till


@pytest.fixture
async def renewal(database):
    return await ledger.open_renewal(1)
