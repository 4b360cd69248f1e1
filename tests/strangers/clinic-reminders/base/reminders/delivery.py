import hashlib
import json
import logging

from django.db import transaction
from django.utils import timezone

from . import claims, mail, sms
from .models import Appointment, FailedReminder, Reminder

log = logging.getLogger(__name__)


class InvalidReminder(Exception):
    """The message makes no sense, today or tomorrow."""


PERMANENT = (InvalidReminder, sms.NumberRejected, mail.AddressRejected)


def find(message):
    """The reminder that a message is about; made, if the message is all there is."""
    if set(message) != {"appointment_id", "kind"}:
        raise InvalidReminder(f"fields: {sorted(message)}")
    appointment_id, kind = message["appointment_id"], message["kind"]
    if type(appointment_id) is not int or kind not in Reminder.KINDS:
        raise InvalidReminder(f"appointment {appointment_id!r}, kind {kind!r}")
    if not Appointment.objects.filter(pk=appointment_id).exists():
        raise InvalidReminder(f"no appointment {appointment_id}")
    return Reminder.objects.get_or_create(appointment_id=appointment_id, kind=kind)[0]


def texts(reminder):
    at = timezone.localtime(reminder.appointment.starts_at)
    what = "is booked" if reminder.kind == "confirmation" else "is tomorrow"
    return f"Your appointment {what}", f"{reminder.appointment.patient}, your appointment {what}: {at:%d.%m. %H:%M}"


def deliver(message, token):
    reminder = find(message)
    if not claims.claim(reminder, token):
        if reminder.status == Reminder.Status.PENDING:
            raise claims.Busy(f"reminder {reminder.pk} is with {reminder.claim_token}")
        log.info("appointment %s, %s: %s already", reminder.appointment_id, reminder.kind, reminder.status)
        return
    try:
        subject, text = texts(reminder)
        reference = f"reminder-{reminder.appointment_id}-{reminder.kind}"
        if reminder.sms_sent_at is None:
            sms.send(to=reminder.appointment.phone, text=text, client_ref=reference)
            Reminder.objects.filter(pk=reminder.pk).update(sms_sent_at=timezone.now())
        if reminder.mail_sent_at is None:
            mail.send(to=reminder.appointment.email, subject=subject, body=text, reference=reference)
            Reminder.objects.filter(pk=reminder.pk).update(mail_sent_at=timezone.now())
    except PERMANENT:
        raise  # the claim is kept until give_up
    except Exception:
        claims.release(reminder, token)
        raise
    claims.finish(reminder)
    log.info("appointment %s, %s: sent", reminder.appointment_id, reminder.kind)


def give_up(message, token, error):
    """The failed state and the front desk's row belong together; neither touches what another task has finished."""
    with transaction.atomic():
        if isinstance(error, InvalidReminder):
            key = hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
        else:
            reminder = find(message)
            claims.claim(reminder, token)
            if not claims.fail(reminder, token):
                log.warning("appointment %s, %s: not given up, it is %s", reminder.appointment_id, reminder.kind, reminder.status)
                return
            key = f"{reminder.appointment_id}:{reminder.kind}"
        FailedReminder.objects.get_or_create(message_key=key, defaults={"message": message, "error": f"{type(error).__name__}: {error}"})
    log.error("appointment %s, %s: given up: %r", message.get("appointment_id"), message.get("kind"), error)
