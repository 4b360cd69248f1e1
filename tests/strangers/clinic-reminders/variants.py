TASKS, DELIVERY, CLAIMS, BOOKING, SWEEP = ("reminders/" + n for n in ("tasks.py", "delivery.py", "claims.py", "booking.py", "sweep.py"))

TASK_BODY = '''    token = task.id if task else "by-hand"
    try:
        delivery.deliver(message, token)
    except delivery.PERMANENT as error:
        delivery.give_up(message, token, error)
        raise CancelExecution(retry=False) from error
    except claims.Busy:
        raise  # tried again; if it stays busy, the sweep looks after it
    except Exception as error:
        log.warning("appointment %s, %s: attempt failed: %r", message.get("appointment_id"), message.get("kind"), error)
        if task is None or not task.retries:
            delivery.give_up(message, token, error)
        raise
'''
CLAIM = '''    now = timezone.now()
    free = Q(claim_token="") | Q(claim_token=token) | Q(claimed_until__lt=now)
    got = Reminder.objects.filter(free, pk=reminder.pk, status=Reminder.Status.PENDING).update(
        claim_token=token, claimed_until=now + timedelta(seconds=settings.REMINDER_LEASE_SECONDS)
    )
    reminder.refresh_from_db()
    return bool(got)
'''
SENDING = '''        if reminder.sms_sent_at is None:
            sms.send(to=reminder.appointment.phone, text=text, client_ref=reference)
            Reminder.objects.filter(pk=reminder.pk).update(sms_sent_at=timezone.now())
        if reminder.mail_sent_at is None:
            mail.send(to=reminder.appointment.email, subject=subject, body=text, reference=reference)
            Reminder.objects.filter(pk=reminder.pk).update(mail_sent_at=timezone.now())
'''
SMS = '''            sms.send(to=reminder.appointment.phone, text=text, client_ref=reference)
            Reminder.objects.filter(pk=reminder.pk).update(sms_sent_at=timezone.now())
'''
FAIL = '''    return Reminder.objects.filter(pk=reminder.pk, status=Reminder.Status.PENDING, claim_token=token).update(
        status=Reminder.Status.FAILED, claim_token="", claimed_until=None
    )
'''
GIVE_UP = '''            claims.claim(reminder, token)
            if not claims.fail(reminder, token):
                log.warning("appointment %s, %s: not given up, it is %s", reminder.appointment_id, reminder.kind, reminder.status)
                return
            key = f"{reminder.appointment_id}:{reminder.kind}"
'''
CONFIRM = '''        if made:
            transaction.on_commit(lambda: queue(reminder))
'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job="send-reminder", what="The claim is taken under select_for_update in a transaction instead of by a conditional UPDATE",
         edits=[(CLAIMS, CLAIM, '''    now = timezone.now()
    with transaction.atomic():
        row = Reminder.objects.select_for_update().get(pk=reminder.pk)
        taken = row.claim_token not in ("", token) and row.claimed_until is not None and row.claimed_until >= now
        got = row.status == Reminder.Status.PENDING and not taken
        if got:
            row.claim_token = token
            row.claimed_until = now + timedelta(seconds=settings.REMINDER_LEASE_SECONDS)
            row.save(update_fields=["claim_token", "claimed_until"])
    reminder.refresh_from_db()
    return got
'''),
                (CLAIMS, "from django.db.models import Q\n", "from django.db import transaction\n")]),
    dict(id="ok-2", kind="correct", job="send-reminder", what="A fresh token per execution, made in the task, instead of Huey's task id",
         edits=[(TASKS, '    token = task.id if task else "by-hand"\n', "    token = uuid.uuid4().hex\n"),
                (TASKS, "import logging\n\nfrom", "import logging\nimport uuid\n\nfrom"),
                (DELIVERY, "            claims.claim(reminder, token)\n            if not", "            if not claims.claim(reminder, token):\n                return\n            if not")]),
    dict(id="ok-3", kind="correct", job="send-reminder", what="Giving up happens in a signal handler of Huey; the task only says that no retry is left",
         edits=[(TASKS, TASK_BODY, '''    try:
        delivery.deliver(message, task.id if task else "by-hand")
    except delivery.PERMANENT:
        if task:
            task.retries = 0
        raise


@signal(SIGNAL_ERROR)
def on_error(signal, task, exc=None):
    if not isinstance(task, send_reminder.task_class) or isinstance(exc, claims.Busy):
        return
    message = task.kwargs
    log.warning("appointment %s, %s: attempt failed: %r", message.get("appointment_id"), message.get("kind"), exc)
    if not task.retries:
        delivery.give_up(message, task.id, exc)
'''),
                (TASKS, '''from huey.contrib.djhuey import db_task
from huey.exceptions import CancelExecution
''', '''from huey.contrib.djhuey import db_task, signal
from huey.signals import SIGNAL_ERROR
''')]),
    dict(id="ok-4", kind="correct", job="send-reminder", what="The two channels as a loop over a table, logging through a LoggerAdapter that knows the reminder",
         edits=[(DELIVERY, SENDING, '''        appointment = reminder.appointment
        channels = (
            ("sms_sent_at", lambda: sms.send(to=appointment.phone, text=text, client_ref=reference)),
            ("mail_sent_at", lambda: mail.send(to=appointment.email, subject=subject, body=text, reference=reference)),
        )
        note = ReminderLog(log, {"reminder": reference})
        for column, send in channels:
            if getattr(reminder, column):
                note.info("%s: sent before", column)
                continue
            send()
            Reminder.objects.filter(pk=reminder.pk).update(**{column: timezone.now()})
'''),
                (DELIVERY, '''    claims.finish(reminder)
    log.info("appointment %s, %s: sent", reminder.appointment_id, reminder.kind)
''', '''    claims.finish(reminder)
    note.info("done")
'''),
                (DELIVERY, "def deliver(message, token):\n", '''class ReminderLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"[{self.extra['reminder']}] {msg}", kwargs


def deliver(message, token):
''')]),
    dict(id="ok-5", kind="correct", job="send-reminder", what="The claim is a context manager; the failed state is set with the dead letter by two statements in one atomic function decorator",
         edits=[(DELIVERY, '''    try:
        subject, text = texts(reminder)
''', '''    with claims.held(reminder, token, keep_for=PERMANENT):
        subject, text = texts(reminder)
'''),
                (DELIVERY, '''    except PERMANENT:
        raise  # the claim is kept until give_up
    except Exception:
        claims.release(reminder, token)
        raise
''', ""),
                (CLAIMS, "def finish(reminder):\n", '''@contextmanager
def held(reminder, token, keep_for):
    """Gives the claim back when it goes wrong, but for errors that end in giving up."""
    try:
        yield
    except keep_for:
        raise
    except Exception:
        release(reminder, token)
        raise


def finish(reminder):
'''),
                (CLAIMS, "from datetime import timedelta\n", "from contextlib import contextmanager\nfrom datetime import timedelta\n")]),
    dict(id="m-1", kind="mistake", job="send-reminder", what="The providers' reference is the claim token, which a task that the sweep queues does not share",
         edits=[(DELIVERY, 'reference = f"reminder-{reminder.appointment_id}-{reminder.kind}"', 'reference = f"reminder-{token}"')]),
    dict(id="m-2", kind="mistake", job="send-reminder", what="The reference names the appointment only, so the day-before reminder counts as sent with the confirmation",
         edits=[(DELIVERY, 'reference = f"reminder-{reminder.appointment_id}-{reminder.kind}"', 'reference = f"appointment-{reminder.appointment_id}"')]),
    dict(id="m-3", kind="mistake", job="send-reminder", what="A claim never lapses: the lease is written but not looked at",
         edits=[(CLAIMS, 'Q(claim_token=token) | Q(claimed_until__lt=now)\n', "Q(claim_token=token)\n")]),
    dict(id="m-4", kind="mistake", job="send-reminder", what="The reminder is done as soon as the SMS is out; a death before the mail loses it",
         edits=[(DELIVERY, "        if reminder.mail_sent_at is None:\n", "        claims.finish(reminder)\n        if reminder.mail_sent_at is None:\n"),
                (DELIVERY, '''    claims.finish(reminder)
    log.info("appointment''', '''    log.info("appointment''')]),
    dict(id="m-5", kind="mistake", job="send-reminder", what="sms_sent_at is written before the SMS is sent, 'so that it cannot go out twice'",
         edits=[(DELIVERY, SMS, '''            Reminder.objects.filter(pk=reminder.pk).update(sms_sent_at=timezone.now())
            sms.send(to=reminder.appointment.phone, text=text, client_ref=reference)
''')]),
    dict(id="m-6", kind="mistake", job="send-reminder", what="An outage is logged and swallowed in the task; Huey thinks that all is well",
         edits=[(TASKS, '''        log.warning("appointment %s, %s: attempt failed: %r", message.get("appointment_id"), message.get("kind"), error)
        if task is None or not task.retries:
            delivery.give_up(message, token, error)
        raise
''', '''        log.exception("appointment %s, %s: attempt failed", message.get("appointment_id"), message.get("kind"))
''')]),
    dict(id="m-7", kind="mistake", job="send-reminder", what="A rejected number is tried again like an outage",
         edits=[(DELIVERY, "PERMANENT = (InvalidReminder, sms.NumberRejected, mail.AddressRejected)", "PERMANENT = (InvalidReminder,)")]),
    dict(id="m-8", kind="mistake", job="send-reminder", what="RetryTask, which in Huey gives the retry back, so the attempts have no end",
         edits=[(TASKS, '''        if task is None or not task.retries:
            delivery.give_up(message, token, error)
        raise
''', '''        if task is None or not task.retries:
            delivery.give_up(message, token, error)
            raise
        raise RetryTask(delay=settings.REMINDER_RETRY_SECONDS) from error
'''),
                (TASKS, "import CancelExecution\n", "import CancelExecution, RetryTask\n")]),
    dict(id="m-9", kind="mistake", job="send-reminder", what="give_up runs in an atomic block that the re-raised error rolls back",
         edits=[(TASKS, '''        delivery.give_up(message, token, error)
        raise CancelExecution(retry=False) from error
''', '''        with transaction.atomic():
            delivery.give_up(message, token, error)
            raise CancelExecution(retry=False) from error
'''),
                (TASKS, "from django.conf import settings\n", "from django.conf import settings\nfrom django.db import transaction\n")]),
    dict(id="m-10", kind="mistake", job="send-reminder", what="The row that was read at the start is saved whole at the release, over what another task has written meanwhile",
         edits=[(CLAIMS, '''    Reminder.objects.filter(pk=reminder.pk, claim_token=token).update(claim_token="", claimed_until=None)
''', '''    reminder.claim_token, reminder.claimed_until = "", None
    reminder.save()
''')]),
    dict(id="m-11", kind="mistake", job="send-reminder", what="The task is queued inside the transaction, before the commit",
         edits=[(BOOKING, CONFIRM, '''        if made:
            queue(reminder)
''')]),
    dict(id="m-12", kind="mistake", job="send-reminder", what="Neither the failed attempt nor the giving up names the reminder",
         edits=[(TASKS, '''log.warning("appointment %s, %s: attempt failed: %r", message.get("appointment_id"), message.get("kind"), error)''', '''log.warning("attempt failed: %r", error)'''),
                (DELIVERY, '''log.error("appointment %s, %s: given up: %r", message.get("appointment_id"), message.get("kind"), error)''', '''log.error("reminder given up: %r", error)''')]),
    dict(id="m-13", kind="mistake", job="send-reminder", what="Giving up sets 'failed' whoever has the reminder and whatever it is by now",
         edits=[(CLAIMS, FAIL, '''    return Reminder.objects.filter(pk=reminder.pk).update(
        status=Reminder.Status.FAILED, claim_token="", claimed_until=None
    )
''')]),
    dict(id="m-14", kind="mistake", job="send-reminder", what="The sweep compares queued_at only, and a NULL is never older than anything",
         edits=[(SWEEP, "        Q(queued_at=None) | Q(queued_at__lt=now - PATIENCE),\n", "        Q(queued_at__lt=now - PATIENCE),\n")]),
    dict(id="m-15", kind="mistake", job="send-reminder", what="Failed reminders are kept one per appointment; the second kind that fails is not recorded",
         edits=[(DELIVERY, 'key = f"{reminder.appointment_id}:{reminder.kind}"', "key = str(reminder.appointment_id)")]),
    dict(id="m-16", kind="mistake", job="send-reminder", what="Off by one: Huey counts the retries down to 0, and the last attempt is never seen as the last",
         edits=[(TASKS, "        if task is None or not task.retries:\n", "        attempt = settings.REMINDER_ATTEMPTS - 1 - (task.retries if task else 0)\n        if attempt >= settings.REMINDER_ATTEMPTS:\n")]),
]
