import smtplib

import httpx
import pytest
from loguru import logger
from redis.exceptions import ConnectionError
from sqlalchemy import func, select, update

from lohnbuero import queue, service
from lohnbuero.authority import Authority, Garbled
from lohnbuero.jobs import TryAgain, transmit_declaration
from lohnbuero.model import DeadLetter, Declaration, now
from lohnbuero.uow import new_session


def http(status):
    request = httpx.Request("POST", "https://meldung.example")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


def state(declaration_id=1):
    with new_session() as session:
        row = session.get(Declaration, declaration_id)
        return row.status, row.ticket


def dead():
    with new_session() as session:
        return session.scalar(select(func.count()).select_from(DeadLetter))


def work(declaration_id=1, limit=9):
    for _ in range(limit):
        try:
            return transmit_declaration(declaration_id=declaration_id)
        except TryAgain:
            pass


def test_release_publishes_once(rq):
    assert service.release(1) and not service.release(1)
    (job,) = rq.jobs
    assert job.kwargs == {"declaration_id": 1} and job.retries_left == 4
    with pytest.raises(service.UnknownDeclaration):
        service.release(99)


def test_transmits_and_mails_once(office, post):
    service.release(1)
    work()
    work()
    assert office.calls == [
        ("LB-202610-000001", {"employer_no": "48110022", "period": "2026-10", "gross_cents": 1834050})
    ]
    (mail,) = post.mails
    assert mail["To"] == "r.lindner@example.org" and "T-1" in mail.get_content()
    assert state() == ("done", "T-1")


def test_same_number_after_a_lost_answer(office, post):
    service.release(1)
    office.trouble += [("after", httpx.ReadTimeout("slow")), ("before", http(503))]
    work()
    assert len(office.calls) == 3 and len(office.tickets) == 1 and state() == ("done", "T-1")


def test_mail_trouble_does_not_transmit_again(office, post):
    service.release(1)
    post.trouble += [smtplib.SMTPServerDisconnected("gone"), smtplib.SMTPDataError(451, b"later")]
    work()
    assert len(office.calls) == 1 and len(post.mails) == 1 and state() == ("done", "T-1")


def test_gives_up_after_five(office, post):
    service.release(1)
    office.trouble += [("before", http(503))] * 20
    work(limit=20)
    assert len(office.calls) == 5 and state() == ("failed", None) and dead() == 1
    office.trouble.clear()
    assert service.revive(1)
    work()
    assert state() == ("done", "T-1") and dead() == 0


def test_refusals_are_final(office, post):
    service.release(1)
    office.trouble.append(("before", http(422)))
    work()
    work()
    assert len(office.calls) == 1 and state() == ("failed", None) and dead() == 1
    post.trouble.append(smtplib.SMTPRecipientsRefused({"s.vogt@example.org": (550, b"unknown")}))
    work(2)
    work(2)
    assert state(2) == ("unreceipted", "T-1") and dead() == 2


def test_a_ticket_beats_a_burial(office, post):
    service.release(1)
    office.trouble.append(("before", http(422)))
    work()
    assert service.record_ticket(1, "T-8").status == "transmitted" and dead() == 0


def test_malformed_and_unknown(office, post):
    for message in ({}, {"declaration_id": "1"}, {"declaration_id": 1, "again": 1}, {"declaration_id": 50}):
        transmit_declaration(**message)
        transmit_declaration(**message)
    assert not office.calls and dead() == 4


def test_sweep(office, post, rq, monkeypatch):
    def away(_):
        raise ConnectionError("no redis")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "put", away)
        assert service.release(1)
    assert not rq.jobs
    assert service.requeue_stalled() == 1 and service.requeue_stalled() == 0 and len(rq.jobs) == 1
    with new_session.begin() as session:
        session.execute(update(Declaration).where(Declaration.id == 1).values(due_at=now(), attempts=5))
    assert service.requeue_stalled() == 1
    work()
    assert not office.calls and state() == ("failed", None) and dead() == 1 and service.requeue_stalled() == 0


def test_client():
    def ask(status, json):
        authority = Authority(httpx.MockTransport(lambda request: httpx.Response(status, json=json)))
        return authority.transmit(transmission_no="LB-1", employer_no="1", period="2026-10", gross_cents=1)

    assert ask(201, {"ticket": "T-1"}) == ask(409, {"ticket": "T-1"}) == "T-1"
    with pytest.raises(Garbled):
        ask(200, {})
    with pytest.raises(httpx.HTTPStatusError):
        ask(503, {})


def test_log(office, post):
    service.release(1)
    post.trouble.append(smtplib.SMTPRecipientsRefused({"r.lindner@example.org": (451, b"later")}))
    lines = []
    sink = logger.add(lines.append, format="{message} {extra}")
    work()
    logger.remove(sink)
    text = "".join(map(str, lines))
    for word in ("'key': '1'", "'job_id'", "'attempt': 2", "'outcome': 'retry'", "'outcome': 'done'"):
        assert word in text
    assert "lindner" not in text.lower() and "1834050" not in text
