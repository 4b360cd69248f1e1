import httpx
import pytest

from wasserwerk import schema
from wasserwerk.uow import UnitOfWork


@pytest.fixture
async def database(tmp_path, monkeypatch):
    monkeypatch.setenv("WASSERWERK_DB", f"sqlite+aiosqlite:///{tmp_path}/w.db")
    monkeypatch.setenv("GATEWAY_URL", "http://gateway.invalid")
    await schema.create(demo=True)


@pytest.fixture
def row(database):
    async def read(bill_id=1):
        async with UnitOfWork() as uow:
            return await uow.bills.get(bill_id)
    return read


class Gateway:
    """Plays the script, then takes everything."""

    def __init__(self):
        self.asked, self.kept, self.script = [], {}, []

    async def put(self, client, url, json=None, **kwargs):
        self.asked.append((url, json))
        step = self.script.pop(0) if self.script else 200
        if callable(step):
            await step()
            step = 200
        if isinstance(step, BaseException):
            raise step
        if step == 200:
            self.kept[url] = json
        return httpx.Response(step, json={"receipt": f"R-{json['number']}"} if step == 200 else {},
                              request=httpx.Request("PUT", f"http://gateway.invalid{url}"))


@pytest.fixture
def gateway(monkeypatch):
    gateway = Gateway()

    async def put(client, url, **kwargs):
        return await gateway.put(client, url, **kwargs)

    monkeypatch.setattr(httpx.AsyncClient, "put", put)
    return gateway
