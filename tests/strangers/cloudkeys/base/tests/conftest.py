import json

import httpx
import pytest

from cloudkeys import db, settings
from cloudkeys.partner import PartnerClient


class FakePartner:
    """Makes keys, and remembers idempotency keys as the real one does."""

    def __init__(self):
        self.made = {}
        self.calls = 0
        self.answers = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.answers:
            status = self.answers.pop(0)
            if status is None:
                raise httpx.ReadTimeout("no answer", request=request)
            if status >= 400:
                return httpx.Response(status, text="no")
        token = request.headers["Idempotency-Key"]
        body = json.loads(request.content)
        key = self.made.setdefault(
            token, {"key_id": f"k-{len(self.made) + 1}", "fingerprint": f"fp-{body['tenant']}"}
        )
        return httpx.Response(201, json=key)


@pytest.fixture
def partner():
    return FakePartner()


@pytest.fixture
async def ctx(tmp_path, monkeypatch, partner):
    monkeypatch.setenv("CLOUDKEYS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path}/test.db")
    settings.get_settings.cache_clear()
    await db.create_tables(demo=True)
    engine = db.make_engine()
    http = httpx.AsyncClient(base_url="https://partner.test", transport=httpx.MockTransport(partner))
    yield {
        "job_id": "provision_key:kr_a1f09c",
        "job_try": 1,
        "sessions": db.make_sessions(engine),
        "partner": PartnerClient(http),
    }
    await http.aclose()
    await engine.dispose()
    settings.get_settings.cache_clear()
