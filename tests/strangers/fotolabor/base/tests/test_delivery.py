import logging
import sqlite3

import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError

from fotolabor import config, counter, delivery, rescue
from fotolabor.repository import Orders
from fotolabor.tasks import deliver_order
from fotolabor.texts import NotTaken, NumberRefused, TextService, Unclear

SLOW = ClientError({"Error": {"Code": "SlowDown", "Message": "slow"}}, "PutObject")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
STATE = "select status, notice, message_id from orders where id = 41"
DEAD = "select ref, reason from dead_orders"


def test_delivered(sql, bucket, texts, work, caplog):
    caplog.set_level(logging.INFO)
    assert counter.order_paid(41) == "queued"
    assert work() == 1
    assert sql(STATE) == [("delivered", "sent", "sms-1")]
    assert list(bucket["objects"]) == ["orders/41/prints.zip"]
    assert texts.sent == [("+491700000041", "order-41")]
    assert "key=order-41 attempt=1 outcome=delivered" in caplog.text and "+49170" not in caplog.text
    assert sql("select status from orders where id = 42") == [("paid",)]


def test_again_later(sql, bucket, texts, work):
    for _ in range(2):
        deliver_order(order_id=41)
        work()
    assert counter.order_paid(41) == "delivered"
    assert len(texts.sent) == 1 and bucket["puts"] == 1


def test_archive_is_the_same_each_time(sql, bucket, texts, work):
    bucket["errors"] = [SLOW, EndpointConnectionError(endpoint_url="http://x")]
    texts.script = [NotTaken("http 429")]
    deliver_order(order_id=41)
    assert work() == 4
    assert len(bucket["objects"]["orders/41/prints.zip"]) == 1 and bucket["puts"] == 2
    assert sql(STATE) == [("delivered", "sent", "sms-2")] and sql(DEAD) == []


def test_five_attempts(sql, bucket, texts, work):
    bucket["errors"] = [SLOW] * 9
    deliver_order(order_id=41)
    assert work() == 5
    assert sql(STATE) == [("failed", "none", None)] and sql(DEAD) == [("order-41", "ClientError")]
    assert texts.sent == []


def test_denied(sql, bucket, texts, work):
    bucket["errors"] = [DENIED]
    deliver_order(order_id=41)
    assert work() == 1 and sql(DEAD) == [("order-41", "ClientError")]


def test_lost_answer_is_not_sent_again(sql, bucket, texts, work):
    texts.script = [Unclear("ReadTimeout")]
    for _ in range(2):
        deliver_order(order_id=41)
        work()
    assert len(texts.sent) == 1
    assert sql(STATE) == [("delivered", "unconfirmed", None)]
    assert sql(DEAD) == [("order-41", "unclear: ReadTimeout")]


def test_number_refused(sql, bucket, texts, work):
    texts.script = [NumberRefused("http 422")]
    deliver_order(order_id=41)
    assert work() == 1 and sql(STATE) == [("delivered", "refused", None)] and sql(DEAD) == []


def test_killed_while_calling(sql, bucket, texts, work, monkeypatch):
    texts.script = [KeyboardInterrupt()]
    deliver_order(order_id=41)
    work()
    assert sql(STATE) == [("queued", "calling", None)]
    with pytest.raises(delivery.CallGoesOn):
        delivery.deliver(41)
    monkeypatch.setattr(config, "CALL_LASTS", -1)
    sql("update orders set touched_at = 0")
    assert rescue.rescue() == 1
    work()
    assert len(texts.sent) == 1
    assert sql(STATE) == [("delivered", "unconfirmed", None)] and sql(DEAD) == [("order-41", "died while calling")]


def test_second_delivery_during_the_call(sql, bucket, texts, work):
    def beside():
        with pytest.raises(delivery.CallGoesOn):
            delivery.deliver(41)

    texts.script = [beside]
    assert delivery.deliver(41) == "delivered" and len(texts.sent) == 1


def test_called_dead_too_early(sql, bucket, texts):
    texts.script = [lambda: Orders().unconfirmed(41, "died while calling") and None]
    assert delivery.deliver(41) == "delivered"
    assert sql(STATE) == [("delivered", "sent", "sms-1")] and sql(DEAD) == []


def test_database_away_after_the_call(sql, bucket, texts, monkeypatch):
    real, failures = Orders.notified, [sqlite3.OperationalError("locked")] * 2

    def notified(self, *args):
        if failures:
            raise failures.pop()
        return real(self, *args)

    monkeypatch.setattr(Orders, "notified", notified)
    assert delivery.deliver(41) == "delivered" and len(texts.sent) == 1


def test_every_run_dies(sql, bucket, texts, work):
    bucket["errors"] = [KeyboardInterrupt()] * 20
    for _ in range(config.MAX_RUNS):
        deliver_order(order_id=41)
        work()
    deliver_order(order_id=41)
    work()
    assert sql(DEAD) == [("order-41", "TooManyRuns")] and len(bucket["errors"]) == 10


def test_missing_negative(sql, bucket, texts, work):
    sql("update frames set negative = 'gone.raw' where order_id = 41")
    deliver_order(order_id=41)
    assert work() == 1 and sql(DEAD) == [("order-41", "MissingNegative")]


@pytest.mark.parametrize("message", [{}, {"order_id": "41"}, {"order_id": 999}, {"order_id": 41, "phone": "1"}])
def test_foreign_message(sql, bucket, texts, work, message):
    for _ in range(2):
        deliver_order(**message)
        assert work() == 1
    assert len(sql(DEAD)) == 1 and texts.sent == [] and sql(STATE) == [("paid", "none", None)]


def test_rescue(sql, bucket, texts, work, monkeypatch):
    def away(**message):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(counter, "deliver_order", away)
        assert counter.order_paid(41) == "queued"
    assert rescue.rescue() == 0
    sql("update orders set touched_at = 0")
    assert rescue.rescue() == 1
    work()
    assert sql(STATE) == [("delivered", "sent", "sms-1")]


@pytest.mark.parametrize("given, result", [
    (201, "m-1"), (422, NumberRefused), (429, NotTaken), (503, Unclear), (302, Unclear),
    (requests.ConnectTimeout("t"), NotTaken), (requests.ReadTimeout("t"), Unclear),
    (requests.ConnectionError("reset"), Unclear)])
def test_answers(monkeypatch, given, result):
    def post(url, **kwargs):
        if isinstance(given, Exception):
            raise given
        answer = requests.Response()
        answer.status_code, answer._content = given, b'{"id": "m-1"}'
        return answer

    monkeypatch.setattr(requests, "post", post)
    if isinstance(result, str):
        assert TextService().send("1", "t", "r") == result
    else:
        with pytest.raises(result):
            TextService().send("1", "t", "r")
