"""The job's logic, run by Celery's own tracer in this process: retries are real, only the waiting is left out."""

import logging

import pytest

from shop import receipts
from shop.mailer import BadAddress, Unavailable
from shop.tasks import send_receipt


def run(order_id=7, email="a@example.com"):
    return send_receipt.apply(kwargs={"order_id": order_id, "email": email})


def test_happy_path_sends_one_email_and_marks_it(shop, provider):
    assert run().state == "SUCCESS"
    assert provider.inbox == {"receipt-7": "a@example.com"}
    assert shop.receipts() == [(7, "a@example.com")]
    assert shop.dead_jobs() == []


def test_retryable_failure_is_tried_again_and_succeeds(shop, provider):
    provider.failures = [Unavailable("down"), TimeoutError("slow")]
    assert run().state == "SUCCESS"
    assert provider.calls == ["receipt-7"] * 3
    assert shop.receipts() == [(7, "a@example.com")]
    assert shop.dead_jobs() == []


def test_after_max_retries_the_job_is_dead(shop, provider):
    provider.failures = [Unavailable("down")] * 10
    assert run().state == "FAILURE"
    assert provider.calls == ["receipt-7"] * 5
    assert shop.receipts() == []
    assert shop.dead_jobs() == [("send-receipt", 7, "Unavailable('down')")]


def test_permanent_failure_is_not_retried_and_the_job_is_dead(shop, provider):
    provider.failures = [BadAddress("a@example.com")] * 10
    assert run().state == "FAILURE"
    assert provider.calls == ["receipt-7"]
    assert shop.dead_jobs() == [("send-receipt", 7, "BadAddress('a@example.com')")]


def test_redelivery_sends_once(shop, provider):
    run()
    run()
    assert provider.calls == ["receipt-7"]
    assert shop.receipts() == [(7, "a@example.com")]


def test_redelivery_after_a_crash_between_email_and_mark_repeats_the_key(shop, provider, monkeypatch):
    with monkeypatch.context() as crash:
        crash.setattr(receipts, "mark_sent", _die)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert shop.receipts() == []
    run()
    assert provider.calls == ["receipt-7", "receipt-7"]
    assert provider.inbox == {"receipt-7": "a@example.com"}
    assert shop.receipts() == [(7, "a@example.com")]


def test_two_orders_of_one_customer_get_two_emails(shop, provider):
    run(7)
    run(8)
    assert sorted(provider.inbox) == ["receipt-7", "receipt-8"]


@pytest.mark.parametrize("payload", [{}, {"order_id": -1, "email": "a@example.com"}])
def test_a_poisonous_message_is_dead_at_once(shop, provider, payload):
    send_receipt.apply(kwargs=payload)
    assert provider.calls == []
    assert len(shop.dead_jobs()) == 1


def test_a_dead_job_that_dies_again_leaves_one_row_and_goes_away_when_sent(shop, provider):
    provider.failures = [BadAddress("a@example.com")] * 2
    run()
    run()
    assert len(shop.dead_jobs()) == 1
    run()
    assert shop.dead_jobs() == []


def test_the_log_answers_what_an_operator_asks(shop, provider, caplog):
    provider.failures = [Unavailable("down")]
    with caplog.at_level(logging.INFO, logger="shop.tasks"):
        run()
        provider.failures = [BadAddress("gone")]
        run(8)
    text = caplog.text
    assert "send_receipt started order_id=7 correlation_id=" in text
    assert "send_receipt will retry order_id=7" in text
    assert "send_receipt succeeded order_id=7" in text
    assert "send_receipt failed order_id=8" in text
    assert "BadAddress('gone')" in text


def _die(*_):
    raise KeyboardInterrupt
