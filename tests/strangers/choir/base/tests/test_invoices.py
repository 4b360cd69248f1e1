import smtplib
from datetime import timedelta
from unittest import mock

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from invoices.errors import StillRunning, TryLater
from invoices.models import DeadJob, Inbox, Invoice
from invoices.requests import request_invoice
from invoices.sweep import requeue_stuck
from invoices.tasks import issue_invoice

MESSAGE = {"member_id": 1, "season": 2026}


@pytest.fixture
def outbox():
    mail.outbox = []
    return mail.outbox


def refuse(exc):
    return mock.patch.object(EmailMultiAlternatives, "send", side_effect=exc)


def test_the_invoice_gets_a_number_and_is_mailed_once(outbox):
    issue_invoice(MESSAGE)
    issue_invoice(MESSAGE)
    assert [m.to for m in outbox] == [["ruth@example.org"]]
    assert outbox[0].extra_headers["Message-ID"] == "<invoice-2026-0001@kantorei.example>"
    assert Inbox.objects.get().status == "done"


def test_numbers_have_no_gaps(outbox):
    with refuse(smtplib.SMTPServerDisconnected("gone")), pytest.raises(TryLater):
        issue_invoice(MESSAGE)
    issue_invoice({"member_id": 2, "season": 2026})
    issue_invoice(MESSAGE)
    assert list(Invoice.objects.order_by("number").values_list("number", "member_id")) == [
        ("2026-0001", 1),
        ("2026-0002", 2),
    ]
    assert len(outbox) == 2


def test_five_attempts_then_dead(outbox):
    with refuse(smtplib.SMTPServerDisconnected("gone")) as send:
        for _ in range(4):
            with pytest.raises(TryLater):
                issue_invoice(MESSAGE)
        issue_invoice(MESSAGE)
        issue_invoice(MESSAGE)
    assert send.call_count == 5
    assert (DeadJob.objects.get().key, DeadJob.objects.get().attempts) == ("invoice:1:2026", 5)


def test_a_refused_address_is_not_tried_again_nor_logged(outbox, caplog):
    with refuse(smtplib.SMTPRecipientsRefused({"ruth@example.org": (550, b"no such user")})) as send:
        issue_invoice(MESSAGE)
        issue_invoice(MESSAGE)
    assert send.call_count == 1
    assert DeadJob.objects.get().reason.startswith("MailRefused")
    assert "ruth" not in caplog.text


def test_whoever_comes_second_waits(outbox):
    def meanwhile(self, fail_silently=False):
        with pytest.raises(StillRunning):
            issue_invoice(MESSAGE)
        return 1

    with mock.patch.object(EmailMultiAlternatives, "send", autospec=True, side_effect=meanwhile) as send:
        issue_invoice(MESSAGE)
    assert send.call_count == 1


@pytest.mark.parametrize("message", [{}, {"member_id": "1", "season": 2026}, {"member_id": 1, "season": 26}, None])
def test_unreadable_messages_end_in_the_dead_table(message, outbox):
    issue_invoice(message)
    assert DeadJob.objects.count() == 1 and not outbox


@pytest.mark.parametrize("member_id, error", [(99, "UnknownMember"), (3, "NoAddress")])
def test_hopeless(member_id, error, outbox):
    issue_invoice({"member_id": member_id, "season": 2026})
    assert DeadJob.objects.get().reason.startswith(error)


def test_a_request_is_queued_once():
    request_invoice(1, 2026)
    request_invoice(1, 2026)
    assert OrmQ.objects.get().task["args"] == (MESSAGE,)


def test_no_wish_without_a_message():
    with mock.patch("invoices.requests.async_task", side_effect=OSError), pytest.raises(OSError):
        request_invoice(1, 2026)
    assert not Inbox.objects.exists()


def test_the_sweep_brings_back_what_got_stuck_only():
    request_invoice(1, 2026)
    request_invoice(2, 2026)
    OrmQ.objects.all().delete()
    Inbox.objects.filter(member_id=1).update(touched_at=timezone.now() - timedelta(minutes=11))
    requeue_stuck()
    requeue_stuck()
    assert OrmQ.objects.get().task["args"] == (MESSAGE,)


def test_the_sweep_is_scheduled():
    from django.core.management import call_command

    call_command("ensure_schedules")
    call_command("ensure_schedules")
    assert Schedule.objects.get().func == "invoices.sweep.requeue_stuck"
