from datetime import timedelta

import pytest
from sqlalchemy import func, select

from fahrschule import charging, kartenpay
from fahrschule.models import DeadLetter, Learner, Purchase, db, now
from fahrschule.tasks import charge_package


def purchase():
    db.session.rollback()
    return db.session.get(Purchase, 1, populate_existing=True)


def lessons():
    db.session.rollback()
    return db.session.scalar(select(Learner.lessons_left).where(Learner.id == 1))


def dead():
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(DeadLetter))


def run(**message):
    return charge_package.apply(kwargs=message)


def test_package_is_paid_and_credited(app, card_house, published):
    assert charging.request_charge(1)
    assert published == [1]
    run(purchase_id=1)
    assert (purchase().state, purchase().charge_id, lessons()) == ("paid", "ch_package-1", 12)
    assert card_house.taken == {"package-1": 65000}


def test_second_delivery_changes_nothing(app, card_house):
    run(purchase_id=1)
    run(purchase_id=1)
    assert card_house.calls == ["package-1"]
    assert lessons() == 12


def test_two_at_once_credit_once(app, card_house):
    charging.start(1)
    charging.start(1)
    assert charging.settle(1, "ch") is True
    assert charging.settle(1, "ch") is False
    assert lessons() == 12


def test_lost_answer_is_asked_for_again_under_the_same_key(app, card_house):
    card_house.lost = [kartenpay.APIConnectionError("ReadTimeout")]
    run(purchase_id=1)
    assert card_house.calls == ["package-1"] * 2
    assert (purchase().state, lessons(), dead()) == ("paid", 12, 0)


def test_declined_card_is_an_outcome(app, card_house):
    card_house.errors = [kartenpay.CardError("insufficient_funds")]
    assert run(purchase_id=1).get() == "declined"
    assert (purchase().state, purchase().decline_code, lessons(), dead()) == ("declined", "insufficient_funds", 2, 0)
    assert len(card_house.calls) == 1


@pytest.mark.parametrize("error", [kartenpay.RateLimited("HTTP 429"), kartenpay.APIConnectionError("HTTP 503")])
def test_five_attempts_then_the_dead_letter(app, card_house, error):
    card_house.errors = [error] * 9
    run(purchase_id=1)
    assert len(card_house.calls) == 5
    assert (purchase().state, dead()) == ("failed", 1)


def test_late_success_takes_the_dead_letter_back(app, card_house):
    charging.start(1)
    charging.bury("purchase-1", 1, "t", "APIConnectionError")
    charging.settle(1, "ch")
    assert (purchase().state, lessons(), dead()) == ("paid", 12, 0)


@pytest.mark.parametrize("message", [{}, {"purchase_id": "1"}, {"purchase_id": True}, {"purchase_id": 1, "x": 1}, {"purchase_id": 99}])
def test_bad_messages_are_buried_alone(app, card_house, message):
    run(**message)
    assert card_house.calls == []
    assert (purchase().state, dead()) == ("open", 1)


def test_sweep_publishes_what_stands_still(app, card_house, published):
    charging.request_charge(1)
    published.clear()
    assert charging.sweep() == 0
    purchase().touched_at = now() - timedelta(minutes=16)
    db.session.commit()
    assert charging.sweep() == 1
    assert published == [1]


def test_broker_away_published_later(app, monkeypatch):
    def away(purchase_id):
        raise ConnectionError("redis")

    messages = []
    monkeypatch.setattr(charging, "publish", away)
    charging.request_charge(1)
    monkeypatch.setattr(charging, "publish", messages.append)
    assert (charging.publish_requested(), charging.publish_requested(), messages) == (1, 0, [1])


def test_started_too_often(app, card_house):
    for _ in range(charging.MAX_STARTS):
        charging.start(1)
    run(purchase_id=1)
    assert card_house.calls == []
    assert (purchase().state, dead()) == ("failed", 1)
