import pytest
from arq import Worker, func

from clinic import bookings, jobs, queue

STATUS = "select status from confirmations where appointment_id = 7"


@pytest.fixture(autouse=True)
def no_info(monkeypatch):
    async def nothing(*_):
        """The Redis of the tests does not know INFO."""

    monkeypatch.setattr("arq.worker.log_redis_info", nothing)


async def work(provider):
    pool = await queue.create_pool()
    worker = Worker(
        functions=[func(jobs.send_confirmation, name="send_confirmation", max_tries=6)],
        redis_pool=pool, burst=True, poll_delay=0, keep_result=0, handle_signals=False, ctx={"sms": provider},
    )  # fmt: skip
    await worker.async_run()
    await worker.close()


async def test_confirm_enqueues_once(rows, redis, provider):
    await bookings.confirm(7)
    await bookings.confirm(7)
    assert redis.zcard("arq:queue") == 1
    await work(provider)
    assert rows(STATUS) == [("sent",)]
    assert provider.refs == ["clinic-confirmation-7"]


async def test_cancelled_before_the_worker_got_there(rows, redis, provider):
    await bookings.confirm(7)
    await bookings.cancel(7)
    await work(provider)
    assert provider.refs == []


async def test_sweep_brings_back_lost_messages(rows, redis, provider):
    await bookings.confirm(7)
    redis.flushall()
    assert await jobs.requeue_stalled() == 0
    rows("update confirmations set due_at = due_at - 700 where appointment_id = 7")
    assert await jobs.requeue_stalled() == 1
    assert await jobs.requeue_stalled() == 0
    await work(provider)
    assert rows(STATUS) == [("sent",)]


async def test_sweep_gives_up_in_the_end(rows, redis):
    rows("update confirmations set due_at = 0, requeues = 5 where appointment_id = 7")
    await jobs.requeue_stalled()
    assert rows("select key from dead_letters") == [("7",)]
