import logging

import pytest

from boxoffice import mailer, orders, paynest, policy, refunds, sweeps

KEY = "order-1-refund"


def test_refunds_once(world):
    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert world.refunds == [("ch_11", 9800, KEY)]
    assert len(world.mails) == 1
    assert world.rows("select status, notice, paynest_id from refunds") == [("refunded", "sent", "rf-1")]
    assert world.rows("select amount_cents from ledger") == [(-9800,)]
    assert world.rows("select sum(void) from tickets") == [(2,)]


def test_retries_with_the_same_key(world, caplog):
    caplog.set_level(logging.INFO)
    world.refund_errors = [paynest.PaynestUnavailable("503")]
    world.mail_errors = [mailer.MailDown("421")]
    world.deliver(order_id=1)
    assert [key for _, _, key in world.refunds] == [KEY, KEY]
    assert len(world.mails) == 2
    assert world.rows("select count(*) from dead_letters") == [(0,)]
    lines = [(r.message, r.order_id, r.attempt) for r in caplog.records if r.name == "boxoffice.jobs"]
    assert lines == [
        ("job started", 1, 1), ("job failed, it will be retried", 1, 1),
        ("job started", 1, 2), ("job failed, it will be retried", 1, 2),
        ("job started", 1, 3), ("job done", 1, 3)]


def test_gives_up(world, caplog):
    world.refund_errors = [paynest.PaynestUnavailable("503")] * 9
    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.refunds) == policy.MAX_ATTEMPTS
    assert world.rows("select order_id, reason from dead_letters") == [(1, "PaynestUnavailable: 503")]
    assert "job given up" in caplog.text


@pytest.mark.parametrize("error", [paynest.RefundRefused("402"), mailer.MailRefused("550")])
def test_no_retry(world, error):
    (world.refund_errors if isinstance(error, paynest.PaynestError) else world.mail_errors).append(error)
    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.refunds) == 1
    assert world.rows("select order_id from dead_letters") == [(1,)]


def test_refunded_before(world):
    world.refund_errors = [paynest.AlreadyRefunded("rf-0")]
    world.deliver(order_id=1)
    assert world.rows("select status, paynest_id from refunds") == [("refunded", "rf-0")]


@pytest.mark.parametrize("kwargs", [
    {}, {"order_id": "one"}, {"order_id": 0}, {"order_id": 1, "again": True}, {"order_id": 77}])
def test_bad_messages(world, kwargs):
    world.deliver(**kwargs)
    assert world.refunds == []
    assert world.rows("select count(*) from dead_letters") == [(1,)]


def test_key_too_old(world, monkeypatch):
    refunds.begin(1)  # and its worker dies
    real = sweeps.time.time
    monkeypatch.setattr(sweeps.time, "time", lambda: real() + policy.KEY_SAFE_FOR + 1)
    world.deliver(order_id=1)
    assert world.refunds == []
    assert world.rows("select substr(reason, 1, 9) from dead_letters") == [("KeyTooOld",)]


def test_published_after_the_commit_and_chased(world, monkeypatch):
    assert orders.request_refund(1)
    assert not orders.request_refund(1)
    assert [m.kwargs for m in world.sent] == [{"order_id": 1}]
    assert world.rows("select count(*) from outbox") == [(0,)]
    now = sweeps.time.time()
    assert sweeps.chase() == []
    monkeypatch.setattr(sweeps.time, "time", lambda: now + 600)
    assert sweeps.chase() == [1]
