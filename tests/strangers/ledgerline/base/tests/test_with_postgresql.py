import asyncio

import psycopg
import pytest
from conftest import DSN

from statements import setup, store, sweep
from statements.app import app, connector
from statements.model import StatementRequest
from statements.requests import request_statement
from statements.settings import settings

pytestmark = pytest.mark.skipif(not DSN, reason="STATEMENTS_TEST_DSN is not set")
FEES = "select reference from ledger order by 1"


@pytest.fixture
async def rows(monkeypatch):
    monkeypatch.setattr(settings, "dsn", DSN)

    async def query(sql):
        async with await psycopg.AsyncConnection.connect(DSN, autocommit=True) as connection:
            cursor = await connection.execute(sql)
            return await cursor.fetchall() if cursor.description else None

    await query("drop schema public cascade")
    await query("create schema public")
    with app.replace_connector(connector()):
        await setup.main()
        yield query


async def work():
    async with app.open_async():
        await app.run_worker_async(wait=False, listen_notify=False, install_signal_handlers=False)


async def test_requested_twice(rows, bucket):
    await request_statement(7, "2026-04")
    await request_statement(7, "2026-04")
    assert await rows("select count(*) from procrastinate_jobs where status = 'todo'") == [(1,)]
    await work()
    assert await rows(FEES) == [("2026-04/7",)]
    assert [key for key, _ in bucket.puts] == ["2026-04/7.csv"]


async def test_two_at_once(rows):
    request = StatementRequest(account_id=7, period="2026-04")
    assert sorted(await asyncio.gather(*(store.finish(request, "x") for _ in range(4)))) == [False, False, False, True]
    assert await rows(FEES) == [("2026-04/7",)]


async def test_dead_worker(rows, bucket):
    await request_statement(7, "2026-04")
    await rows("update procrastinate_jobs set status = 'doing'")
    assert await sweep.bring_back() == 1
    await work()
    assert await rows(FEES) == [("2026-04/7",)]


async def test_lost_jobs(rows, bucket):
    assert await sweep.bring_back() == 0
    await rows("update statements set touched_at = 'epoch' where account_id = 8")
    assert await sweep.bring_back() == 1
    await rows("update statements set touched_at = 'epoch' where account_id = 8")
    assert await sweep.bring_back() == 0  # it waits in the queue
    await work()
    assert await rows(FEES) == [("2026-04/8",)]


async def test_brought_back_too_often(rows):
    await rows("update statements set touched_at = 'epoch', requeues = 5 where account_id = 8")
    assert await sweep.bring_back() == 0
    assert await rows("select key from dead_letters") == [("2026-04/8",)]
