from unittest import mock

from django.core.management import call_command
from django.test import TransactionTestCase
from django.utils import timezone
from huey.exceptions import CancelExecution

from reminders import booking, mail, sms
from reminders.models import Appointment, FailedReminder, Reminder
from reminders.tasks import send_reminder

MESSAGE = {"appointment_id": 1, "kind": "confirmation"}


class Reminders(TransactionTestCase):
    def setUp(self):
        Appointment.objects.create(pk=1, patient="A", phone="+41", email="a@example.com", starts_at=timezone.now())
        self.sms = mock.patch.object(sms, "send").start()
        self.mail = mock.patch.object(mail, "send").start()
        self.addCleanup(mock.patch.stopall)

    def test_sends_both_once(self):
        send_reminder.call_local(**MESSAGE)
        send_reminder.call_local(**MESSAGE)
        self.assertEqual(self.sms.call_args.kwargs["client_ref"], "reminder-1-confirmation")
        self.assertEqual((self.sms.call_count, self.mail.call_count), (1, 1))
        self.assertEqual(Reminder.objects.get().status, "done")

    def test_sms_is_not_repeated_when_the_mail_fails(self):
        self.mail.side_effect = [mail.MailDown("503"), None]
        task = mock.Mock(id="t-1", retries=4)
        with self.assertRaises(mail.MailDown):
            send_reminder.call_local(task=task, **MESSAGE)
        send_reminder.call_local(task=task, **MESSAGE)
        self.assertEqual((self.sms.call_count, self.mail.call_count), (1, 2))

    def test_rejected_number_goes_to_the_front_desk(self):
        self.sms.side_effect = sms.NumberRejected("landline")
        with self.assertRaises(CancelExecution):
            send_reminder.call_local(task=mock.Mock(id="t-1", retries=4), **MESSAGE)
        self.assertEqual(FailedReminder.objects.get().message_key, "1:confirmation")
        self.assertEqual(Reminder.objects.get().status, "failed")

    def test_sweep_queues_what_was_never_queued(self):
        with mock.patch("reminders.booking.queue", side_effect=OSError("queue is away")):
            with self.assertRaises(OSError):
                booking.confirm(**MESSAGE)
        with mock.patch("reminders.tasks.send_reminder") as task:
            call_command("sweep_reminders")
            call_command("sweep_reminders")
        task.assert_called_once_with(**MESSAGE)
