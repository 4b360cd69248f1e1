import sqlite3
from unittest.mock import AsyncMock

import httpx
import pytest

from vetclinic import config, db, desk, lab, ledger, rescue, sms, tasks
from vetclinic.broker import broker
from vetclinic.errors import Busy, LabDown, LabRefused, SmsDown

REF = "lab-2026-0412"


@pytest.fixture
async def clinic(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DB", str(tmp_path / "vet.db"))
    await db.create()
    for name in ("find_order", "place_order"):
        monkeypatch.setattr(lab, name, AsyncMock(return_value=None if name == "find_order" else "LO-77"))
    monkeypatch.setattr(sms, "send_text", AsyncMock(return_value=None))
    await ledger.add_sample(REF, "Minka", "thyroid", "+41790000000")


def rows(sql):
    con = sqlite3.connect(config.DB)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


async def deliver(**kwargs):
    await tasks.book_lab_test.kiq(**kwargs)
    while broker._running_tasks:
        await broker.wait_all()


STATE = "select status, lab_order_id, texted_at is not null, held_until from lab_requests"


async def test_orders_and_texts_once(clinic):
    await deliver(ref=REF)
    await deliver(ref=REF)
    lab.place_order.assert_awaited_once_with(
        reference=REF, panel="thyroid", animal="Minka", idempotency_key=f"order-{REF}"
    )
    assert sms.send_text.await_count == 1
    assert sms.send_text.await_args.kwargs["client_ref"] == f"booked-{REF}"
    assert rows(STATE) == [("booked", "LO-77", 1, 0)]


async def test_asks_before_it_orders_again(clinic):
    lab.find_order.side_effect = [None, "LO-78"]
    lab.place_order.side_effect = LabDown("ReadTimeout")
    await deliver(ref=REF)
    assert lab.place_order.await_count == 1
    assert rows(STATE) == [("booked", "LO-78", 1, 0)]


async def test_a_failing_text_does_not_order_again(clinic):
    sms.send_text.side_effect = [SmsDown("answered 503"), None]
    await deliver(ref=REF)
    assert (lab.place_order.await_count, sms.send_text.await_count) == (1, 2)
    assert rows(STATE) == [("booked", "LO-77", 1, 0)]


async def test_five_attempts_then_a_dead_letter(clinic):
    lab.find_order.side_effect = LabDown("answered 503")
    await deliver(ref=REF)
    await deliver(ref=REF)
    assert lab.find_order.await_count == 5
    assert rows("select key, attempts from dead_letters") == [(REF, 5)]
    assert rows(STATE) == [("dead", None, 0, 0)]


async def test_a_refusal_is_final(clinic):
    lab.place_order.side_effect = LabRefused("answered 422")
    await deliver(ref=REF)
    assert lab.place_order.await_count == 1
    assert rows("select error from dead_letters") == [("LabRefused: answered 422",)]


async def test_workers_that_die_use_the_attempts_up(clinic):
    con = sqlite3.connect(config.DB)
    con.execute("insert into lab_requests (ref, attempts, look_at) values (?, 5, 0)", (REF,))
    con.commit()
    con.close()
    await deliver(ref=REF)
    assert lab.find_order.await_count == 0
    assert rows("select key, error from dead_letters") == [(REF, f"WornOut: {REF}")]


async def test_the_second_of_two_is_told_that_it_is_busy(clinic):
    async def meanwhile(reference):
        with pytest.raises(Busy):
            await tasks.book_lab_test(ref=REF)

    lab.find_order.side_effect = meanwhile
    await tasks.book_lab_test(ref=REF)
    assert (lab.place_order.await_count, sms.send_text.await_count) == (1, 1)


@pytest.mark.parametrize("kwargs", [{}, {"ref": 17}, {"ref": "LAB 1"}, {"ref": REF, "more": 1}, {"ref": "lab-none"}])
async def test_messages_that_lead_nowhere(clinic, kwargs):
    await deliver(**kwargs)
    assert lab.find_order.await_count == 0
    assert rows("select count(*) from dead_letters") == [(1,)]
    assert rows("select count(*) from lab_requests") == [(0,)]


async def test_what_was_not_queued_is_rescued(clinic, monkeypatch):
    kick = AsyncMock(side_effect=ConnectionError)
    monkeypatch.setattr(broker, "kick", kick)
    with pytest.raises(Exception):
        await desk.request_test(REF)
    kick.side_effect = None
    kick.reset_mock()
    await rescue.requeue()
    await rescue.requeue()
    assert [REF.encode() in call.args[0].message for call in kick.await_args_list] == [True]


async def test_no_phone_number_in_the_log(clinic, capsys):
    sms.send_text.side_effect = SmsDown("answered 503")
    await deliver(ref=REF)
    assert "+4179" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("status, error", [(503, LabDown), (429, LabDown), (422, LabRefused), (404, LabRefused)])
async def test_the_labs_answers(monkeypatch, status, error):
    async def get(self, url, **kwargs):
        return httpx.Response(status, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx.AsyncClient, "get", get)
    with pytest.raises(error):
        await lab.find_order(REF)
