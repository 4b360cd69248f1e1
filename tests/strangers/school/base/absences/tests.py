import smtplib
from unittest import mock

from django.core import mail
from django.core.management import call_command
from django.test import TestCase

from absences.models import Notice
from absences.services import notify_guardian, publish_pending
from absences.tasks import mail_absence
from ops.models import DeadJob


class MailAbsenceTest(TestCase):
    def setUp(self):
        call_command("demo_school")

    def run_job(self, **kwargs):
        return mail_absence.apply(kwargs=kwargs or {"absence_id": 1, "guardian_id": 1})

    def test_one_mail_however_often_delivered(self):
        self.run_job()
        self.run_job()
        self.assertEqual([m.to for m in mail.outbox], [["huber@example.com"]])
        self.assertIsNotNone(Notice.objects.get(absence_id=1, guardian_id=1).sent_at)

    def test_retries_then_gives_up(self):
        with mock.patch("django.core.mail.EmailMessage.send", side_effect=smtplib.SMTPServerDisconnected("bye")) as send:
            self.run_job()
        self.assertEqual(send.call_count, 5)
        self.assertEqual(DeadJob.objects.get().task, "absences.mail_absence")

    def test_refused_address_is_not_retried(self):
        refused = smtplib.SMTPRecipientsRefused({"huber@example.com": (550, b"no such user")})
        with mock.patch("django.core.mail.EmailMessage.send", side_effect=refused) as send:
            self.run_job()
        self.assertEqual(send.call_count, 1)
        self.assertEqual(DeadJob.objects.count(), 1)

    def test_nonsense_is_recorded(self):
        self.run_job(absence_id="x", guardian_id=1)
        self.assertIn("InvalidJob", DeadJob.objects.get().error)

    def test_published_after_commit_and_swept(self):
        with mock.patch.object(mail_absence, "delay") as delay:
            with self.captureOnCommitCallbacks(execute=True):
                notify_guardian(1, 1)
            delay.assert_called_once_with(absence_id=1, guardian_id=1)
            self.assertEqual(publish_pending(), 2)
            self.assertEqual(publish_pending(), 0)
