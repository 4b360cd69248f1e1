import json
import logging
import smtplib
from datetime import timedelta

import pytest
import requests
from django.core import mail
from django.core.mail import EmailMessage
from django.utils import timezone

from deeds import desk, filing
from deeds.errors import FilingRefused, RegisterAway
from deeds.models import DeadLetter, Deed, Filing
from deeds.register import RegisterClient
from deeds.tasks import file_deed, pause
from notariat.jsonlog import JsonLines


def state(deed_id=1):
    return Filing.objects.values_list("state", "receipt").get(deed_id=deed_id)


def test_a_released_deed_is_filed_and_confirmed(register):
    assert desk.release(1) is True
    assert desk.release(1) is False
    assert state() == ("confirmed", "GR-1")
    submission = Filing.objects.get(deed_id=1).submission_id
    assert register.asked == [submission]
    [letter] = mail.outbox
    assert letter.to == ["regula@clients.example"]
    assert letter.extra_headers["Message-ID"] == f"<confirmation-{submission}@notariat.example>"


def test_delivered_again(register):
    file_deed.delay(deed_id=1)
    file_deed.delay(deed_id=1)
    file_deed.delay(deed_id=2)
    assert len(register.asked) == len(mail.outbox) == 2
    assert state(2) == ("confirmed", "GR-2")


def test_the_answer_is_lost(register):
    register.lost = [RegisterAway("ReadTimeout")]
    file_deed.delay(deed_id=1)
    assert len(register.asked) == 2 and len(set(register.asked)) == 1
    assert state() == ("confirmed", "GR-1")
    assert len(mail.outbox) == 1


def test_the_register_stays_away(register, caplog):
    register.busy = [RegisterAway("HTTP 503")] * 9
    with caplog.at_level(logging.INFO, "deeds"):
        file_deed.delay(deed_id=1)
        file_deed.delay(deed_id=1)
    assert len(register.asked) == 5
    assert state() == ("not_filed", "")
    assert DeadLetter.objects.get().reason == "RegisterAway: HTTP 503"
    assert mail.outbox == []
    lines = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name == "deeds.tasks"]
    assert [(li["attempt"], li["outcome"]) for li in lines if li["outcome"] in ("retry", "dead")] == [
        (1, "retry"), (2, "retry"), (3, "retry"), (4, "retry"), (5, "dead"),
    ]
    assert all(li["key"] == "deed-1" and li["job_id"] for li in lines)


def test_waits_grow():
    assert [pause(n) for n in range(5)] == [60, 120, 240, 480, 600]


def test_refused(register):
    register.busy = [FilingRefused("HTTP 422")]
    file_deed.delay(deed_id=1)
    assert len(register.asked) == 1
    assert state()[0] == "not_filed" and DeadLetter.objects.count() == 1


@pytest.mark.parametrize("code, tries, end", [(450, 5, "unconfirmed"), (550, 1, "unconfirmed")])
def test_no_mail_goes_out(register, monkeypatch, caplog, code, tries, end):
    sent = []

    def send(self, fail_silently=False):
        sent.append(self)
        raise smtplib.SMTPRecipientsRefused({"regula@clients.example": (code, b"no")})

    monkeypatch.setattr(EmailMessage, "send", send)
    file_deed.delay(deed_id=1)
    assert (len(sent), len(register.asked)) == (tries, 1)
    assert state() == (end, "GR-1")
    assert DeadLetter.objects.get().key == "deed-1"
    assert "regula" not in caplog.text.lower()


def test_the_mail_goes_out_at_the_second_try(register, monkeypatch):
    real, troubles = EmailMessage.send, [OSError("connection reset")]

    def send(self, fail_silently=False):
        if troubles:
            raise troubles.pop()
        return real(self, fail_silently)

    monkeypatch.setattr(EmailMessage, "send", send)
    file_deed.delay(deed_id=1)
    assert state()[0] == "confirmed" and len(register.asked) == len(mail.outbox) == 1


def test_a_late_receipt_outweighs_a_dead_letter(register):
    slow = filing.find(1)
    filing.start(slow)
    register.busy = [FilingRefused("HTTP 422")]
    file_deed.delay(deed_id=1)
    filing.enter_receipt(slow, "GR-9")
    assert state() == ("filed", "GR-9") and DeadLetter.objects.count() == 0


def test_what_redis_has_lost_is_resent(register, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(file_deed, "delay", lambda **_: 1 / 0)
        desk.release(1)
        Filing.objects.filter(deed_id=1).update(look_at=timezone.now())
        assert desk.resend_stuck() == 0
    assert desk.resend_stuck() == 1
    assert state()[0] == "confirmed"
    assert desk.resend_stuck() == 0
    assert len(register.asked) == 1


def test_filed_but_stuck(register):
    stuck = filing.find(1)
    filing.start(stuck)
    filing.enter_receipt(stuck, "GR-1")
    Filing.objects.filter(deed_id=1).update(look_at=timezone.now() - timedelta(minutes=1))
    desk.resend_stuck()
    assert state() == ("confirmed", "GR-1") and register.asked == []


def test_workers_die_of_it(register):
    for _ in range(10):
        filing.start(filing.find(1))
    file_deed.delay(deed_id=1)
    assert state()[0] == "not_filed" and register.asked == []


def test_too_old_for_the_register(register):
    Deed.objects.filter(pk=1).update(signed_at=timezone.now() - timedelta(days=26))
    file_deed.delay(deed_id=1)
    assert state()[0] == "not_filed" and register.asked == []


@pytest.mark.parametrize("message", [{}, {"deed_id": "1"}, {"deed_id": True}, {"deed_id": 404}, {"deed_id": 1, "x": 2}])
def test_messages_that_make_no_sense(register, message):
    file_deed.delay(**message)
    file_deed.delay(**message)
    assert DeadLetter.objects.count() == 1 and register.asked == []
    assert state()[0] == "signed"


@pytest.mark.parametrize("status, kind", [(503, RegisterAway), (429, RegisterAway), (401, RegisterAway), (422, FilingRefused)])
def test_what_the_register_answers(status, kind):
    class Session:
        def put(self, url, **kwargs):
            response = requests.Response()
            response.status_code = status
            return response

    with pytest.raises(kind):
        RegisterClient(Session()).submit(submission_id="s", number="n", title="t", signed_on="2026-01-01")
