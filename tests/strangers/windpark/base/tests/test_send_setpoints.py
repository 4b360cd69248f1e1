import logging

import httpx
import pytest
from sqlalchemy import select

from windpark import admin, dispatch, orders
from windpark.operator import GridOperator, OperatorUnavailable, SetpointRefused
from windpark.tables import acknowledgements, dead_orders, engine
from windpark.tables import orders as table


def rows(thing):
    with engine().begin() as conn:
        return conn.execute(select(thing)).all()


@pytest.fixture
def order(clock):
    return admin.place("nordhang", 4200, clock.at, clock.at + 3600)


def test_due_order_is_sent_and_acknowledged(order, sent):
    dispatch.send_setpoints()
    assert sent == {"setpoint-1": 4200}
    assert [(r.order_id, r.reference) for r in rows(acknowledgements)] == [(1, "ack-setpoint-1")]
    assert rows(table)[0].state == "acknowledged"


def test_a_second_poll_sends_nothing(order, sent):
    dispatch.send_setpoints()
    dispatch.send_setpoints()
    assert sent.calls == 1


def test_not_yet_due(clock, sent):
    admin.place("nordhang", 4200, clock.at + 7200, clock.at + 9000)
    dispatch.send_setpoints()
    assert sent.calls == 0


def test_waits_and_tries_again(order, sent, clock):
    sent.answers = [OperatorUnavailable("HTTP 503")]
    dispatch.send_setpoints()
    dispatch.send_setpoints()
    assert sent.calls == 1
    clock.at += 20
    dispatch.send_setpoints()
    assert sent.calls == 2 and rows(table)[0].state == "acknowledged"


def test_retry_after(order, sent, clock):
    sent.answers = [OperatorUnavailable("HTTP 429", retry_after=60)]
    dispatch.send_setpoints()
    clock.at += 59
    dispatch.send_setpoints()
    assert sent.calls == 1
    clock.at += 1
    dispatch.send_setpoints()
    assert sent.calls == 2


def test_dead_after_six(order, sent, clock):
    sent.answers = [OperatorUnavailable("HTTP 503")] * 9
    for _ in range(9):
        dispatch.send_setpoints()
        clock.at += 600
    assert sent.calls == 6
    assert [(r.order_id, r.attempts) for r in rows(dead_orders)] == [(1, 6)]
    assert rows(table)[0].state == "dead"


def test_refused(order, sent):
    sent.answers = [SetpointRefused("HTTP 422")]
    dispatch.send_setpoints()
    assert rows(dead_orders)[0].reason == "refused: HTTP 422"


def test_a_lease_keeps_others_out_and_runs_out(order, sent, clock):
    assert orders.claim(order).attempt == 1
    dispatch.send_setpoints()
    assert sent.calls == 0
    clock.at += orders.LEASE_SECONDS
    dispatch.send_setpoints()
    assert sent.calls == 1 and rows(table)[0].state == "acknowledged"


def test_late_answer_outweighs_a_burial(order, clock):
    first = orders.claim(order)
    clock.at += orders.LEASE_SECONDS
    orders.bury(orders.claim(order), "refused")
    assert orders.acknowledge(first, "ack-late")
    assert rows(table)[0].state == "acknowledged" and rows(dead_orders) == []


def test_not_sent_again_after_days(order, sent, clock):
    orders.claim(order)
    clock.at += orders.KEY_IS_SAFE_FOR + 1
    dispatch.send_setpoints()
    assert sent.calls == 0 and len(rows(dead_orders)) == 1


def test_withdrawn(order, sent):
    assert orders.withdraw(order)
    dispatch.send_setpoints()
    assert sent.calls == 0


def test_too_late_to_withdraw(order):
    orders.claim(order)
    assert not orders.withdraw(order)


def test_log(order, sent, caplog):
    with caplog.at_level(logging.INFO, "windpark"):
        dispatch.send_setpoints()
    fields = caplog.records[-1].fields
    assert fields["key"] == "setpoint-1" and fields["attempt"] == 1 and fields["outcome"] == "acknowledged"


@pytest.mark.parametrize(
    "status, error", [(503, OperatorUnavailable), (429, OperatorUnavailable), (422, SetpointRefused)]
)
def test_client(status, error):
    operator = GridOperator("http://operator.test", "t")
    operator._client = httpx.Client(
        base_url="http://operator.test", transport=httpx.MockTransport(lambda r: httpx.Response(status))
    )
    with pytest.raises(error):
        operator.send_setpoint(idempotency_key="k", park="p", limit_kw=1, valid_from=1, valid_to=2)
