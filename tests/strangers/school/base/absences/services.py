from django.db import transaction
from django.utils import timezone

from absences.models import Notice


def notify_guardian(absence_id, guardian_id):
    """Called by the register view for each guardian of the absent pupil."""
    with transaction.atomic():
        notice, _ = Notice.objects.get_or_create(absence_id=absence_id, guardian_id=guardian_id)
        transaction.on_commit(lambda: publish(notice))


def publish(notice):
    from absences.tasks import mail_absence

    mail_absence.delay(absence_id=notice.absence_id, guardian_id=notice.guardian_id)
    Notice.objects.filter(pk=notice.pk).update(queued_at=timezone.now())


def publish_pending():
    pending = list(Notice.objects.filter(queued_at=None, sent_at=None))
    for notice in pending:
        publish(notice)
    return len(pending)
