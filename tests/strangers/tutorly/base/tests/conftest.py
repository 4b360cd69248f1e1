import asyncio
import os
import sqlite3

os.environ["TUTORLY_REDIS"] = "memory://"

import pytest

from paykit import PayClient
from tutorly import conf, db


class Pay:
    def __init__(self):
        self.keys, self.errors, self.meanwhile = [], [], None

    async def charge(self, *, idempotency_key, student_id, amount_cents):
        self.keys.append(idempotency_key)
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        return {"id": f"ch_{idempotency_key}"}


@pytest.fixture
def pay(monkeypatch):
    pay = Pay()

    async def charge(self, **kwargs):
        return await pay.charge(**kwargs)

    monkeypatch.setattr(PayClient, "charge", charge)
    return pay


@pytest.fixture(autouse=True)
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(conf, "DB", str(tmp_path / "tutorly.db"))
    monkeypatch.setattr(conf, "RETRY_STEP", 0)
    asyncio.run(db.create(demo=True))

    def rows(sql, *args):
        with sqlite3.connect(conf.DB) as con:
            return con.execute(sql, args).fetchall()

    return rows
