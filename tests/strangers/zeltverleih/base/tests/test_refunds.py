import json
import types

import pytest

from zeltverleih import counter, refund_queue
from zeltverleih.payments import PaymentProvider, PaymentsAway, RefundRefused
from zeltverleih.refunds import run_once

STATE = "select state, tries, refund_id from refunds"


def test_refunds_a_deposit_once(rows, provider, clock):
    assert run_once() is False
    counter.take_back(1)
    counter.take_back(1)
    assert run_once() is True and run_once() is False
    assert rows(STATE) == [("done", 1, "re_ch_101_15000")]
    assert rows("select rental_id, cents from cash_book") == [(1, -15000)]


def test_same_key_after_a_lost_answer(rows, provider, clock):
    counter.take_back(1)
    provider.lost = 1
    run_once()
    assert run_once() is False
    clock.now += 30
    assert run_once() is True
    assert len(provider.keys) == 2 and len(provider.made) == 1
    assert rows("select count(*) from cash_book") == [(1,)]


def test_five_tries_then_dead(rows, provider, clock):
    counter.take_back(1)
    provider.trouble = [PaymentsAway("HTTP 503") for _ in range(9)]
    waits = []
    while rows(STATE)[0][0] == "due":
        assert run_once()
        waits.append(rows("select next_at from refunds")[0][0] - clock.now)
        clock.now += max(waits[-1], 0)
    assert waits[:4] == [30, 120, 480, 1920] and len(provider.keys) == 5
    assert rows("select refund, tries, reason from dead_letters") == [(1, 5, "PaymentsAway: HTTP 503")]
    provider.trouble = []
    assert counter.once_more(1) and run_once()
    assert rows("select count(*) from dead_letters") == [(0,)] and len(set(provider.keys)) == 1


def test_refused(rows, provider, clock):
    counter.take_back(1)
    provider.trouble = [RefundRefused("HTTP 422")]
    assert run_once() is True and run_once() is False
    assert rows(STATE) == [("dead", 1, None)] and rows("select count(*) from dead_letters") == [(1,)]


def test_a_lease_runs_out(rows, provider, clock):
    counter.take_back(1)
    old = refund_queue.claim("killed", clock.now, 120)
    assert run_once() is False
    clock.now += 121
    assert run_once() is True
    assert not refund_queue.put_off(old, 0) and not refund_queue.bury(old, "x", 0)
    assert refund_queue.finish(old, "re_ch_101_15000", clock.now) is False
    assert rows("select state, tries from refunds") == [("done", 2)]
    assert rows("select count(*) from cash_book") == [(1,)]


def test_a_row_that_kills_workers_ends(rows, provider, clock):
    counter.take_back(1)
    for n in range(5):
        assert refund_queue.claim(f"killed-{n}", clock.now, 120)
        clock.now += 121
    assert run_once() is True and run_once() is False
    assert not provider.keys and rows("select state from refunds") == [("dead",)]


def test_old_keys_are_not_used(rows, provider, clock):
    counter.take_back(1)
    provider.lost = 1
    run_once()
    clock.now += 30 * 3600
    run_once()
    assert len(provider.keys) == 1 and rows("select state from refunds") == [("dead",)]


@pytest.mark.parametrize("status, body, error", [
    (503, b"", PaymentsAway), (409, b"", PaymentsAway), (200, b"<html>", PaymentsAway), (402, b"{}", RefundRefused),
])
def test_what_answers_mean(monkeypatch, status, body, error):
    provider = PaymentProvider()
    sent = []

    def request(method, url, body=None, headers=None):
        sent.append((json.loads(body), headers["Idempotency-Key"]))
        return types.SimpleNamespace(status=status, data=answer)

    answer = body
    monkeypatch.setattr(provider._pool, "request", request)
    with pytest.raises(error):
        provider.refund("ch_1", 100, idempotency_key="k")
    assert sent == [({"charge": "ch_1", "amount": 100}, "k")]
