from __future__ import annotations

import logging

import pytest
import requests
from conftest import Clock, LogiHub

from handover.models import DeadLetter, Delivery
from handover.orders import release_order, revive
from handover.poller import run_once
from handover.push import push_order


def state(order_id: int = 17) -> tuple[str, int]:
    delivery = Delivery.objects.get(order_id=order_id)
    return delivery.state, delivery.attempts


def test_a_released_order_is_pushed_once(logihub: LogiHub, clock: Clock) -> None:
    release_order(17)
    release_order(17)
    assert run_once() == 1
    clock.forward(minutes=5)
    assert run_once() == 0
    assert push_order(17) == "skipped"
    assert logihub.requests == [
        {
            "reference": "WEB-24-0017",
            "recipient": "Ida Moser",
            "address": "Lindengasse 4, 1070 Wien",
            "lines": [{"sku": "TEA-1", "qty": 2}],
        }
    ]
    assert state() == ("done", 1)


@pytest.mark.parametrize("answer", [503, 429, 401, 302, requests.ConnectionError("reset"), requests.Timeout("slow")])
def test_what_may_pass_is_tried_again_by_a_later_poll(
    logihub: LogiHub, clock: Clock, answer: int | Exception
) -> None:
    logihub.answers = [answer]
    assert push_order(17) == "retry"
    assert run_once() == 0
    clock.forward(minutes=5)
    assert run_once() == 1
    assert logihub.references == ["WEB-24-0017"] * 2
    assert state() == ("done", 2)


def test_an_outage_ends_after_eight_attempts(
    logihub: LogiHub, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    logihub.answers = [503] * 20
    release_order(17)
    with caplog.at_level(logging.INFO, "handover.push"):
        for _ in range(12):
            run_once()
            clock.forward(minutes=5)
    assert len(logihub.requests) == 8
    assert state() == ("dead", 8)
    assert DeadLetter.objects.get().attempt == 8
    assert "order_id=17 reference=WEB-24-0017 attempt=8/8 result=dead reason=PartnerUnavailable" in caplog.text


def test_a_reference_that_is_known_is_a_success(logihub: LogiHub) -> None:
    logihub.answers = [409]
    assert push_order(17) == "done"


def test_a_refusal_is_final_until_somebody_revives_it(logihub: LogiHub, clock: Clock) -> None:
    logihub.answers = [422]
    assert push_order(17) == "dead"
    assert DeadLetter.objects.count() == 1
    revive(17)
    clock.forward(minutes=5)
    assert run_once() == 1
    assert state() == ("done", 1)
    assert DeadLetter.objects.count() == 0


def test_a_poller_that_died_has_used_an_attempt(logihub: LogiHub, clock: Clock) -> None:
    logihub.answers = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        push_order(17)
    assert push_order(17) == "skipped"
    clock.forward(minutes=5)
    assert run_once() == 1
    assert state() == ("done", 2)


def test_an_order_that_always_kills_its_poller_is_given_up(logihub: LogiHub, clock: Clock) -> None:
    logihub.answers = [KeyboardInterrupt()] * 20
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            push_order(17)
        clock.forward(minutes=5)
    assert push_order(17) == "dead"
    assert len(logihub.requests) == 8
    assert DeadLetter.objects.count() == 1


def test_one_bad_order_does_not_stop_the_poll(logihub: LogiHub) -> None:
    logihub.answers = [422, ValueError("?")]
    for order_id in (17, 18, 19):
        release_order(order_id)
    assert run_once() == 3
    assert [state(order_id)[0] for order_id in (17, 18, 19)] == ["dead", "waiting", "done"]
