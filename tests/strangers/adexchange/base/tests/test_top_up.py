import json
from datetime import timedelta

import pytest
from redis.exceptions import ConnectionError
from sqlalchemy import select, update

from adexchange import db, jobs, orders, provider, queueing, rescue, settings
from adexchange.models import Campaign, DeadLetter, TopUp, now


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("ADX_DATABASE_URL", f"sqlite:///{tmp_path}/adx.sqlite")
    db.create(demo=True)


@pytest.fixture(autouse=True)
def put(monkeypatch):
    queued = []
    monkeypatch.setattr(queueing, "put", queued.append)
    monkeypatch.setattr(queueing, "waiting", lambda order_no: False)
    return queued


@pytest.fixture
def calls(monkeypatch):
    made, answers = [], []

    def add_budget(campaign_ref, amount_cents, *, idempotency_key):
        made.append((campaign_ref, amount_cents, idempotency_key))
        answer = answers.pop(0) if answers else "rcp-1"
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(provider, "add_budget", add_budget)
    made_and_answers = type("Calls", (), {"made": made, "answers": answers})
    return made_and_answers


class FakeJob:
    def __init__(self, retries_left):
        self.id, self.kwargs, self.retries_left = "topup-TU-1001", {"order_no": "TU-1001"}, retries_left


def scalar(statement):
    with db.begin() as session:
        return session.scalar(statement)


def status():
    return scalar(select(TopUp.status).where(TopUp.order_no == "TU-1001"))


def budget():
    return scalar(select(Campaign.budget_cents).where(Campaign.id == 1))


def attempt(retries_left=4):
    try:
        return jobs.top_up(order_no="TU-1001")
    except Exception as error:
        jobs.on_failure(FakeJob(retries_left), None, type(error), error, None)
        return type(error).__name__


def place():
    return orders.place("TU-1001", 1, 25_000)


def test_booked_once(calls, put):
    place()
    place()
    assert put == ["TU-1001", "TU-1001"]
    assert [attempt(), attempt()] == ["booked", "booked"]
    assert len(calls.made) == 1 and budget() == 125_000


def test_lost_answer(calls):
    place()
    calls.answers[:] = [provider.ProviderUnavailable("ReadTimeout"), "rcp-1"]
    assert [attempt(4), attempt(3)] == ["ProviderUnavailable", "booked"]
    assert len(calls.made) == 2 and calls.made[0] == calls.made[1]
    assert budget() == 125_000


def test_two_at_once_raise_the_counter_once(calls, monkeypatch):
    place()
    inner = provider.add_budget

    def slow(*args, **kwargs):
        monkeypatch.setattr(provider, "add_budget", inner)
        jobs.top_up(order_no="TU-1001")
        return inner(*args, **kwargs)

    monkeypatch.setattr(provider, "add_budget", slow)
    assert attempt() == "booked"
    assert len(calls.made) == 2 and budget() == 125_000


def test_dead_after_the_last(calls):
    place()
    calls.answers[:] = [provider.ProviderUnavailable("HTTP 503")] * 5
    for retries_left in (4, 3, 2, 1):
        attempt(retries_left)
        assert status() == "ordered"
    attempt(0)
    assert status() == "dead" and budget() == 100_000
    assert scalar(select(DeadLetter.reason)) == "ProviderUnavailable"
    assert attempt() == "dead" and len(calls.made) == 5


def test_rejected(calls):
    place()
    calls.answers[:] = [provider.ProviderRejected("HTTP 422")]
    assert attempt() == "dead"
    assert status() == "dead" and scalar(select(DeadLetter.attempts)) == 1


def test_key_is_not_used_when_the_provider_may_have_forgotten_it(calls, monkeypatch):
    place()
    calls.answers[:] = [provider.ProviderUnavailable("ReadTimeout")]
    attempt()
    monkeypatch.setattr(settings, "KEY_IS_GOOD_FOR", timedelta(0))
    assert attempt() == "dead" and len(calls.made) == 1


@pytest.mark.parametrize("message", [{}, {"order_no": 1001}, {"order_no": "TU-1001", "amount_cents": 1}])
def test_malformed(message, calls):
    assert jobs.top_up(**message) == "dead"
    assert calls.made == [] and scalar(select(DeadLetter.reason)) == "MalformedMessage"


def test_redis_away_and_rescue(put, monkeypatch):
    def away(order_no):
        raise ConnectionError("away")

    with monkeypatch.context() as patched:
        patched.setattr(queueing, "put", away)
        assert place() == "ordered"
    rescue.rescue()
    assert put == []
    with db.begin() as session:
        session.execute(update(TopUp).values(touched_at=now() - timedelta(hours=1)).where(TopUp.order_no == "TU-1001"))
    rescue.rescue()
    rescue.rescue()
    assert put == ["TU-1001"]


def test_log(calls, capsys):
    place()
    attempt()
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["key"], line["attempt"], line["outcome"]) == ("TU-1001", 1, "booked")
