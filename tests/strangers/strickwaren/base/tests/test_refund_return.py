import json
import logging

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from strickwaren import db, ledger, returns
from strickwaren.actors import refund_return
from strickwaren.zahlwerk import RefundDenied, Zahlwerk, ZahlwerkDown

STATE = "select state, refund_id from returns where number = 'R-2041'"
NOTES = "select number, return_number, amount_cents, refund_id from credit_notes order by 1"
DEAD = "select key, reason from dead_jobs order by 1"


def test_a_return_is_refunded(shop):
    assert returns.request_refund("R-2041")
    assert not returns.request_refund("R-2041")
    shop.drain()
    assert shop.keys == ["refund-R-2041"]
    assert shop.rows(STATE) == [("refunded", "zr_1")]
    assert shop.rows(NOTES) == [("GS-2041", "R-2041", 8990, "zr_1")]


def test_delivered_twice(shop):
    shop.deliver(return_number="R-2041")
    shop.deliver(return_number="R-2041")
    shop.deliver(return_number="R-2042")
    assert shop.keys == ["refund-R-2041", "refund-R-2042"]
    assert len(shop.rows(NOTES)) == 2


def test_no_answer_at_first(shop):
    shop.lost_answers = [ZahlwerkDown("ReadTimeout")]
    shop.deliver(return_number="R-2041")
    assert shop.keys == ["refund-R-2041"] * 2
    assert shop.rows(STATE) == [("refunded", "zr_1")] and shop.rows(DEAD) == []


def test_six_tries_and_a_dead_job(shop, caplog):
    shop.errors = [ZahlwerkDown("HTTP 503")] * 20
    with caplog.at_level(logging.INFO):
        shop.deliver(return_number="R-2041")
    shop.deliver(return_number="R-2041")
    assert len(shop.keys) == 6
    assert shop.rows(STATE) == [("refund_failed", None)]
    assert shop.rows(DEAD) == [("refund-R-2041", "ZahlwerkDown: HTTP 503")]
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name.startswith("strickwaren")]
    assert [(li["attempt"], li["outcome"]) for li in lines if li["outcome"] != "started"] == [
        (1, "retry"), (2, "retry"), (3, "retry"), (4, "retry"), (5, "retry"), (6, "dead"), (1, "skipped"),
    ]
    assert all(li["job_id"] and li["key"] == "refund-R-2041" for li in lines)


def test_denied(shop):
    shop.errors = [RefundDenied("HTTP 422")]
    shop.deliver(return_number="R-2041")
    assert len(shop.keys) == 1
    assert shop.rows(STATE) == [("refund_failed", None)]
    assert shop.rows(DEAD) == [("refund-R-2041", "RefundDenied: HTTP 422")]
    assert shop.rows(NOTES) == []


def test_the_database_is_away_after_the_refund(shop, monkeypatch):
    settle, broken = ledger.settle, [OperationalError("x", {}, Exception("disk I/O error"))]
    monkeypatch.setattr(ledger, "settle", lambda *a: settle(*a) if not broken else _raise(broken.pop()))
    shop.deliver(return_number="R-2041")
    assert len(shop.keys) == 2 and len(shop.made) == 1
    assert len(shop.rows(NOTES)) == 1


def test_two_at_once(shop):
    one, other = ledger.begin("R-2041"), ledger.begin("R-2041")
    assert ledger.settle(one, "zr_1") and not ledger.settle(other, "zr_1")
    assert len(shop.rows(NOTES)) == 1


def test_an_answer_after_the_end(shop):
    slow = ledger.begin("R-2041")
    shop.errors = [RefundDenied("HTTP 422")]
    shop.deliver(return_number="R-2041")
    assert ledger.settle(slow, "zr_7")
    assert shop.rows(STATE) == [("refunded", "zr_7")] and shop.rows(DEAD) == []


def test_unpublished_refunds_are_resent(shop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(refund_return, "send", lambda **_: _raise(ConnectionError()))
        assert returns.request_refund("R-2041")
        assert returns.resend_lost() == 0
    assert returns.resend_lost() == 1
    assert returns.resend_lost() == 0
    shop.drain()
    assert shop.rows(STATE) == [("refunded", "zr_1")]


def test_twelve_starts(shop):
    for _ in range(12):
        ledger.begin("R-2041")
    shop.deliver(return_number="R-2041")
    assert shop.keys == [] and shop.rows(STATE) == [("refund_failed", None)]


def test_too_late_for_the_key(shop):
    ledger.begin("R-2041")
    with db.transaction() as session:
        session.execute(text("update returns set first_try_at = first_try_at - 41 * 3600"))
    shop.deliver(return_number="R-2041")
    assert shop.keys == [] and len(shop.rows(DEAD)) == 1


@pytest.mark.parametrize("message", [{}, {"return_number": 2041}, {"return_number": "R-9999"}, {"return_number": "R-2041", "x": 1}])
def test_bad_messages(shop, message):
    shop.deliver(**message)
    shop.deliver(**message)
    assert shop.keys == [] and len(shop.rows(DEAD)) == 1
    assert shop.rows(STATE) == [("inspected", None)]


@pytest.mark.parametrize("status, kind", [(500, ZahlwerkDown), (429, ZahlwerkDown), (401, ZahlwerkDown), (422, RefundDenied)])
def test_what_zahlwerk_says(status, kind):
    transport = httpx.MockTransport(lambda request: httpx.Response(status))
    with pytest.raises(kind), Zahlwerk(transport) as payments:
        payments.refund(payment_id="p", amount_cents=1, reference="r", idempotency_key="k")


def _raise(error):
    raise error
