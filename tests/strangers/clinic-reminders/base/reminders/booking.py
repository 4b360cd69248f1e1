from django.db import transaction
from django.utils import timezone

from .models import Reminder


def queue(reminder):
    from .tasks import send_reminder

    send_reminder(appointment_id=reminder.appointment_id, kind=reminder.kind)
    Reminder.objects.filter(pk=reminder.pk).update(queued_at=timezone.now())


def confirm(appointment_id, kind):
    """The desk has booked, or the evening list asks for the day-before reminder. Asking twice is harmless."""
    with transaction.atomic():
        reminder, made = Reminder.objects.get_or_create(appointment_id=appointment_id, kind=kind)
        if made:
            transaction.on_commit(lambda: queue(reminder))
