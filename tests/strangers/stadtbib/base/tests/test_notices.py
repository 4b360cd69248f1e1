import smtplib

import pytest
import requests
from sqlalchemy import func, select

from stadtbib import cashdesk, locks, notices, post
from stadtbib.db import DeadLetter, Session
from stadtbib.tasks import overdue_notice

MESSAGE = {"loan_id": 1, "level": 2}


def dead():
    with Session() as s:
        return s.scalar(select(func.count()).select_from(DeadLetter))


def failing(exc):
    def call(**kwargs):
        raise exc
    return call


def http_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(str(status), response=response)


def test_books_and_mails_once(city):
    overdue_notice(MESSAGE)
    overdue_notice(MESSAGE)
    assert [fee["cents"] for fee in city.fees] == [200]
    assert [letter["to"] for letter in city.letters] == ["ida@example.org"]
    assert notices.find(1, 2).status == "sent"


def test_first_notice_is_free(city):
    overdue_notice({"loan_id": 2, "level": 1})
    assert not city.fees and len(city.letters) == 1


def test_returned_book_gets_no_letter(city):
    overdue_notice({"loan_id": 3, "level": 2})
    assert not city.letters and notices.find(3, 2).status == "void"


def test_relay_down_then_up(city, monkeypatch):
    with monkeypatch.context() as m:
        m.setattr(post, "send", failing(smtplib.SMTPServerDisconnected("gone")))
        with pytest.raises(smtplib.SMTPServerDisconnected):
            overdue_notice(MESSAGE)
    overdue_notice(MESSAGE)
    assert len(city.fees) == 1 and len(city.letters) == 1


def test_gives_up_after_five(city, monkeypatch):
    monkeypatch.setattr(cashdesk, "book_fee", failing(http_error(503)))
    for _ in range(4):
        with pytest.raises(requests.HTTPError):
            overdue_notice(MESSAGE)
    overdue_notice(MESSAGE)
    assert dead() == 1 and notices.find(1, 2).status == "dead"


def test_closed_account_is_not_tried_again(city, monkeypatch):
    monkeypatch.setattr(cashdesk, "book_fee", failing(http_error(422)))
    overdue_notice(MESSAGE)
    assert dead() == 1 and not city.letters


@pytest.mark.parametrize("message", [{}, None, {"loan_id": "1", "level": 2}, {"loan_id": 1, "level": 9}])
def test_malformed(city, message):
    overdue_notice(message)
    overdue_notice(message)
    assert dead() == 1


def test_two_at_once(city):
    with locks.only_one("notice-1-2"), pytest.raises(locks.Busy):
        overdue_notice(MESSAGE)
    assert not city.fees
