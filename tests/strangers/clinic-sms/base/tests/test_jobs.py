import httpx
import pytest
from arq import Retry

from clinic import jobs, store

STATUS = "select status, attempts from confirmations where appointment_id = 7"


def answer(status):
    request = httpx.Request("POST", "http://sms.example/v2/messages")
    return httpx.HTTPStatusError(str(status), request=request, response=httpx.Response(status, request=request))


async def run(ctx, times=1, message={"appointment_id": 7}):
    for _ in range(times):
        try:
            await jobs.send_confirmation(ctx, message)
        except Retry:
            pass


async def test_sends_once_however_often_it_is_delivered(rows, ctx, provider):
    await run(ctx, 3)
    assert provider.refs == ["clinic-confirmation-7"]
    assert rows(STATUS) == [("sent", 1)]


async def test_same_reference_on_every_attempt(rows, ctx, provider):
    provider.failures = [answer(503), httpx.ReadTimeout("slow"), answer(429)]
    await run(ctx, 4)
    assert provider.refs == ["clinic-confirmation-7"] * 4
    assert rows(STATUS) == [("sent", 4)]


async def test_five_attempts_and_a_dead_letter(rows, ctx, provider):
    provider.failures = [answer(503)] * 9
    await run(ctx, 9)
    assert len(provider.refs) == 5
    assert rows("select key, attempts from dead_letters") == [("7", 5)]


async def test_refused_numbers_are_not_tried_again(rows, ctx, provider):
    provider.failures = [answer(422)]
    await run(ctx, 2)
    assert len(provider.refs) == 1
    assert rows("select count(*) from dead_letters") == [(1,)]


async def test_attempts_that_killed_their_worker_count(rows, ctx, provider):
    for _ in range(5):
        await store.claim(7)
    await run(ctx)
    assert provider.refs == []
    assert rows("select key, attempts from dead_letters") == [("7", 5)]


async def test_late_is_given_up(rows, ctx, provider):
    rows("update confirmations set requested_at = requested_at - 80000")
    await run(ctx)
    assert provider.refs == []
    assert rows("select reason from dead_letters") == [("too late to be of use",)]


@pytest.mark.parametrize("message", [{}, {"appointment_id": "x"}, None, {"appointment_id": 404}])
async def test_messages_without_sense_are_kept(rows, ctx, provider, message):
    await run(ctx, 2, message)
    assert provider.refs == []
    assert rows("select count(*) from dead_letters") == [(1,)]


async def test_store_errors_are_tried_again_but_not_for_ever(rows, ctx, monkeypatch):
    async def locked(*_):
        raise OSError("locked")

    monkeypatch.setattr(store, "claim", locked)
    with pytest.raises(Retry):
        await jobs.send_confirmation(ctx, {"appointment_id": 7})
    with pytest.raises(OSError):
        await jobs.send_confirmation({**ctx, "job_try": 5}, {"appointment_id": 7})
