import smtplib
from datetime import timedelta
from unittest import mock

from django.core import mail
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.test import TransactionTestCase
from django.utils import timezone

from billing import invoicing
from billing.models import Charge, DeadJob, Invoice, Member
from billing.tasks import mail_invoice

OCTOBER = {"member_id": 1, "month": "2026-10"}
GREY = smtplib.SMTPDataError(451, b"greylisted")
REFUSED = smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"unknown")})


class MailInvoiceTests(TransactionTestCase):
    def setUp(self):
        ada = Member.objects.create(pk=1, name="Ada", email="ada@example.org")
        Charge.objects.create(member=ada, month="2026-10", label="Postage", cents=650)

    def deliver(self, *failures, message=OCTOBER):
        """failures: what the first sends raise. Returns how often it was sent at all."""
        todo = list(failures)
        real = EmailMessage.send
        calls = []

        def send(message):
            calls.append(message)
            if todo:
                raise todo.pop(0)
            return real(message)

        with mock.patch.object(EmailMessage, "send", send):
            mail_invoice.apply(kwargs=message)
        return len(calls)

    def status(self):
        return Invoice.objects.get().status

    def test_once(self):
        self.deliver()
        self.deliver()
        self.assertEqual([m.subject for m in mail.outbox], ["Invoice SL-2026-10-0001"])
        self.assertIn("CHF 6.50", mail.outbox[0].body)
        self.assertEqual(self.status(), "sent")

    def test_greylisting_and_lost_connections(self):
        calls = self.deliver(GREY, smtplib.SMTPServerDisconnected("gone"), ConnectionRefusedError())
        self.assertEqual((calls, len(mail.outbox), self.status()), (4, 1, "sent"))

    def test_five_attempts(self):
        self.assertEqual(self.deliver(*[GREY] * 9), 5)
        self.assertEqual((self.status(), DeadJob.objects.count()), ("failed", 1))

    def test_refused(self):
        self.assertEqual(self.deliver(REFUSED), 1)
        self.assertEqual(self.deliver(), 0)
        self.assertEqual((self.status(), DeadJob.objects.get().attempts), ("failed", 1))

    def test_somebody_else_has_it(self):
        invoicing.claim(**OCTOBER)
        with self.assertRaises(invoicing.Busy):
            invoicing.claim(**OCTOBER)
        Invoice.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
        self.assertEqual(invoicing.claim(**OCTOBER).attempts, 2)

    def test_bad_messages(self):
        bad = [{}, {"member_id": "1", "month": "2026-10"}, {**OCTOBER, "x": 1}, {"member_id": 1, "month": "2026-13"}]
        for count, message in enumerate(bad + [{"member_id": 9, "month": "2026-10"}], 1):
            self.assertEqual(self.deliver(message=message), 0)
            self.assertEqual(DeadJob.objects.count(), count)

    def test_month_end(self):
        with mock.patch.object(mail_invoice, "delay") as delay:
            call_command("close_month", "2026-10", verbosity=0)
            invoicing.publish_unsent()
        delay.assert_called_once_with(**OCTOBER)

    def test_broker_down(self):
        with mock.patch.object(mail_invoice, "delay", side_effect=ConnectionError):
            invoicing.issue_invoice(**OCTOBER)
        with mock.patch.object(mail_invoice, "delay") as delay:
            self.assertEqual(invoicing.publish_unsent(), 1)
        delay.assert_called_once_with(**OCTOBER)

    def test_stalled(self):
        with mock.patch.object(mail_invoice, "delay") as delay:
            invoicing.issue_invoice(**OCTOBER)
            self.assertEqual(invoicing.requeue_stalled(), 0)
            Invoice.objects.update(touched_at=timezone.now() - timedelta(hours=1))
            self.assertEqual(invoicing.requeue_stalled(), 1)
        self.assertEqual(delay.call_count, 2)
