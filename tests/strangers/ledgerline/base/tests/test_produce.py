import psycopg
import pytest
from conftest import s3_error

from statements import report, store
from statements.model import Entry, StatementRequest
from statements.tasks import Again, produce_statement, wait_s

MESSAGE = {"account_id": 7, "period": "2026-04"}


async def run(context, times=1, **message):
    for _ in range(times):
        try:
            await produce_statement(context, **(message or MESSAGE))
        except Again:
            pass


async def test_one_fee_however_often(context, memory, bucket):
    await run(context, 3)
    assert [key for key, _ in bucket.puts] == ["2026-04/7.csv"]
    assert memory.fees == ["2026-04/7"]


async def test_attempts_write_the_same(context, memory, bucket):
    bucket.errors = [s3_error("SlowDown"), s3_error("InternalError")]
    await run(context, 3)
    assert len(bucket.puts) == 3 and len(set(bucket.puts)) == 1
    assert memory.fees == ["2026-04/7"]


async def test_five_attempts(context, memory, bucket):
    bucket.errors = [s3_error("SlowDown")] * 9
    await run(context, 9)
    assert len(bucket.puts) == 5
    assert memory.dead["2026-04/7"][0] == 5


async def test_final_answers(context, memory, bucket):
    bucket.errors = [s3_error("NoSuchBucket")]
    await run(context, 2)
    assert len(bucket.puts) == 1
    assert "NoSuchBucket" in memory.dead["2026-04/7"][1]


async def test_workers_that_died_count(context, memory, bucket):
    memory.attempts["2026-04/7"] = 5
    await run(context)
    assert bucket.puts == [] and "2026-04/7" in memory.dead


@pytest.mark.parametrize("message", [{"x": 1}, {"account_id": 7, "period": "April"}, {"account_id": 404, "period": "2026-04"}])
async def test_odd_messages(context, memory, bucket, message):
    await run(context, 2, **message)
    assert bucket.puts == [] and len(memory.dead) == 1


async def test_the_database_is_away(context, memory, monkeypatch):
    async def away(request):
        raise psycopg.OperationalError("server closed the connection")

    monkeypatch.setattr(store, "begin", away)
    with pytest.raises(Again) as again:
        await produce_statement(context, **MESSAGE)
    assert again.value.wait_s == 10
    context.job.attempts = 4
    with pytest.raises(psycopg.OperationalError):
        await produce_statement(context, **MESSAGE)


def test_waits():
    assert [wait_s(attempt) for attempt in (1, 2, 3, 4)] == [10, 40, 160, 600]


def test_csv():
    request = StatementRequest(**MESSAGE)
    assert report.render(request, [Entry(1, "2026-04-02", "Salary", 5200)]) == (
        b"account,7,period,2026-04\ndate,text,amount\n2026-04-02,Salary,5200\ntotal,,5200\n"
    )
