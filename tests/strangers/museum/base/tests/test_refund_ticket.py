import asyncio
import logging

import pytest
from arq import Retry
from sqlalchemy import text

from museum import database, returns
from museum.jobs import refund_ticket
from museum.paydesk import PayDeskAway, RefundRefused
from museum.refunds import NoSuchTicket, NotReturnable


def ctx(job_try=1, job_id="job-1"):
    return {"job_id": job_id, "job_try": job_try}


async def rows(sql):
    async with database.transaction() as session:
        return [tuple(row) for row in await session.execute(text(sql))]


async def run(sql):
    async with database.transaction() as session:
        await session.execute(text(sql))


async def everything():
    return (
        await rows("select state, paydesk_id from refunds where ticket_id = 1"),
        await rows("select status from tickets where id = 1"),
        await rows("select sold from time_slots where id = 1"),
    )


DONE = ([("refunded", "rf-81")], [("returned",)], [(11,)])


async def test_refund(desk):
    await refund_ticket(ctx(), ticket_id=1)
    assert await everything() == DONE
    assert desk.asked == [("pay-1", 1800, "museum-ticket-1")]


async def test_delivered_twice(desk):
    await refund_ticket(ctx(), ticket_id=1)
    await refund_ticket(ctx(job_id="job-2"), ticket_id=1)
    assert await everything() == DONE
    assert len(desk.asked) == 1


async def test_delivered_twice_at_once(desk):
    await asyncio.gather(refund_ticket(ctx(), ticket_id=1), refund_ticket(ctx(job_id="job-2"), ticket_id=1))
    assert await everything() == DONE
    assert {request_id for _, _, request_id in desk.asked} == {"museum-ticket-1"}


async def test_paydesk_away_then_back(desk):
    desk.answers = [PayDeskAway("HTTP 503"), TimeoutError()]
    for attempt in (1, 2):
        with pytest.raises(Retry):
            await refund_ticket(ctx(attempt), ticket_id=1)
    await refund_ticket(ctx(3), ticket_id=1)
    assert await everything() == DONE


async def test_given_up_after_five(desk):
    desk.answers = [PayDeskAway("HTTP 503")]
    with pytest.raises(PayDeskAway):
        await refund_ticket(ctx(5), ticket_id=1)
    assert await everything() == ([("failed", None)], [("returning",)], [(12,)])
    assert await rows("select key, attempt, error from dead_jobs") == [("refund_ticket:1", 5, "PayDeskAway: HTTP 503")]


async def test_refused(desk):
    desk.answers = [RefundRefused("HTTP 422")]
    with pytest.raises(RefundRefused):
        await refund_ticket(ctx(), ticket_id=1)
    assert len(await rows("select * from dead_jobs")) == 1
    assert await refund_ticket(ctx(), ticket_id=1) == "nothing to do, failed"


async def test_used_ticket(desk):
    await run("update tickets set status = 'used' where id = 2")
    with pytest.raises(NotReturnable):
        await refund_ticket(ctx(), ticket_id=2)
    assert not desk.asked


@pytest.mark.parametrize(
    "message", [{}, {"ticket_id": "1"}, {"ticket_id": True}, {"ticket_id": 2**65}, {"ticket_id": 1, "again": True}]
)
async def test_poison(desk, message):
    with pytest.raises(Exception):
        await refund_ticket(ctx(), **message)
    assert not desk.asked
    assert await rows("select key from dead_jobs") == [("refund_ticket:job-1",)]


async def test_unknown_ticket(desk):
    with pytest.raises(NoSuchTicket):
        await refund_ticket(ctx(), ticket_id=99)


async def test_dies_too_often(desk):
    with pytest.raises(Exception):
        await refund_ticket(ctx(11), ticket_id=1)
    assert not desk.asked
    assert len(await rows("select * from dead_jobs")) == 1


async def test_request_return(queued):
    await returns.request_return(1)
    await returns.request_return(1)
    assert queued == [("refund_ticket", {"ticket_id": 1})] * 2
    assert await rows("select state from refunds") == [("pending",)]


async def test_sweep(desk, queued):
    await returns.request_return(1)
    await returns.request_return(3)
    queued.clear()
    assert await returns.requeue_stuck() == 0
    await run("update refunds set touched_at = touched_at - 700 where ticket_id = 3")
    assert await returns.requeue_stuck() == 1
    assert queued == [("refund_ticket", {"ticket_id": 3})]
    assert await returns.requeue_stuck() == 0


async def test_log_names_the_job(desk, caplog):
    caplog.set_level(logging.INFO)
    await refund_ticket(ctx(), ticket_id=1)
    last = caplog.messages[-1]
    assert "job_id=job-1" in last and "key=ticket-1" in last and "attempt=1" in last
    assert "@example.com" not in caplog.text
