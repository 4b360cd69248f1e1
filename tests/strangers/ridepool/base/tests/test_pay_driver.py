import sqlite3
import time

import pytest
import requests
from structlog.testing import capture_logs

from ridepool import base, office, settings
from ridepool.paywire import Paywire, PaywireDown, PaywireRefused
from ridepool.tasks import pay_driver

PAYOUT = "select status, paywire_ref from payouts where id = 1"
LINES = "select payout_id, driver_id, cents from statement_lines"
BALANCE = "select balance_cents from drivers where id = 1"
LETTERS = "select ref, error from dead_letters"


@pytest.fixture
def approved(sent):
    assert office.approve_payout(1)


def test_pays_once(approved, provider, deliver, query):
    deliver(payout_id=1)
    deliver(payout_id=1)
    assert provider.keys == ["payout-1"]
    assert query(PAYOUT) == [("paid", "PW-acct_7f01-12000")]
    assert query(LINES) == [(1, 1, -12000)] and query(BALANCE) == [(8000,)]


def test_retries(approved, provider, deliver, query):
    provider.errors = [PaywireDown("ReadTimeout")] * 4
    deliver(payout_id=1)
    assert provider.keys == ["payout-1"] * 5
    assert query(LINES) == [(1, 1, -12000)] and query(LETTERS) == []


def test_buried_after_five(approved, provider, deliver, query):
    provider.errors = [PaywireDown("HTTP 503")] * 9
    with capture_logs() as logs:
        deliver(payout_id=1)
    deliver(payout_id=1)
    assert len(provider.keys) == 5
    assert query(PAYOUT) == [("failed", None)] and query(LETTERS) == [("payout-1", "PaywireDown: HTTP 503")]
    last = logs[-1]
    assert (last["job"], last["key"], last["attempt"], last["outcome"]) == ("ridepool.pay_driver", 1, 5, "dead")
    assert [e["outcome"] for e in logs].count("retry") == 4


def test_refused(approved, provider, deliver, query):
    provider.errors = [PaywireRefused("HTTP 422")]
    deliver(payout_id=1)
    assert len(provider.keys) == 1 and query(LETTERS) == [("payout-1", "PaywireRefused: HTTP 422")]


def test_store_fails_after_the_money_is_sent(approved, provider, deliver, query, monkeypatch):
    from ridepool import uow

    post, failures = uow.Statements.post, [sqlite3.OperationalError("disk I/O error")]

    def flaky(self, *args):
        if failures:
            raise failures.pop()
        return post(self, *args)

    monkeypatch.setattr(uow.Statements, "post", flaky)
    deliver(payout_id=1)
    assert provider.keys == ["payout-1"] * 2
    assert query(LINES) == [(1, 1, -12000)] and query(BALANCE) == [(8000,)]


def test_two_at_once(approved, provider, deliver, query):
    provider.meanwhile = lambda: deliver(payout_id=1)
    deliver(payout_id=1)
    assert len(provider.keys) == 2 and query(BALANCE) == [(8000,)]


def test_one_gives_up_and_the_other_pays(approved, provider, deliver, query):
    def other():
        provider.errors = [PaywireRefused("HTTP 422")]
        deliver(payout_id=1)
        assert query(PAYOUT) == [("failed", None)]

    provider.meanwhile = other
    deliver(payout_id=1)
    assert query(PAYOUT)[0][0] == "paid" and query(LETTERS) == [] and query(BALANCE) == [(8000,)]


def test_a_key_that_paywire_may_have_forgotten(approved, provider, deliver, query):
    query("update payouts set starts = 1, first_try_at = ?", time.time() - 6.5 * settings.DAY)
    deliver(payout_id=1)
    assert provider.keys == [] and query(LETTERS)[0][1].startswith("KeyTooOld")


@pytest.mark.parametrize(
    "message", [{}, {"payout_id": "1"}, {"payout_id": True}, {"payout_id": 77}, {"payout_id": 1, "urgent": True}]
)
def test_poison(approved, provider, deliver, query, message):
    deliver(**message)
    deliver(**message)
    assert len(query(LETTERS)) == 1 and provider.keys == [] and query(PAYOUT) == [("approved", None)]


def test_dead_letter_under_a_locked_database(approved, provider, deliver, query, monkeypatch):
    monkeypatch.setattr(base.time, "sleep", lambda _: None)
    bury, failures = base.bury, [sqlite3.OperationalError("locked")] * 2
    monkeypatch.setattr(base, "bury", lambda *a: _raise(failures.pop()) if failures else bury(*a))
    provider.errors = [PaywireRefused("HTTP 422")]
    deliver(payout_id=1)
    assert len(query(LETTERS)) == 1


def _raise(exc):
    raise exc


def test_approves_once(sent, query):
    assert office.approve_payout(1) and not office.approve_payout(1)
    assert sent == [{"payout_id": 1}]


def test_sweep(sent, query, monkeypatch):
    def away(**_):
        raise ConnectionError

    with monkeypatch.context() as m:
        m.setattr(pay_driver, "delay", away)
        assert office.approve_payout(1)
    assert office.sweep() == 1 and office.sweep() == 0
    query("update payouts set changed_at = 0 where id = 1")
    assert office.sweep() == 1
    query("update payouts set changed_at = 0, starts = 10 where id = 1")
    assert office.sweep() == 0
    assert query(LETTERS) == [("payout-1", "stood still after 10 starts")]


@pytest.mark.parametrize("status, error", [(422, PaywireRefused), (409, PaywireDown), (503, PaywireDown)])
def test_paywire(monkeypatch, status, error):
    def post(self, url, **kwargs):
        response = requests.Response()
        response.status_code = status
        return response

    monkeypatch.setattr(requests.Session, "post", post)
    with pytest.raises(error), Paywire() as paywire:
        paywire.pay(account="acct", cents=1, idempotency_key="k")
