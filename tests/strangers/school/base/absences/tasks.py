import logging

from celery import shared_task
from django.db import OperationalError, transaction
from django.utils import timezone

from absences import mailer
from absences.models import Notice
from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids

log = logging.getLogger("school.absences")


@shared_task(
    bind=True,
    base=RecordedTask,
    name="absences.mail_absence",
    max_retries=4,
    acks_late=True,
    reject_on_worker_lost=True,
)
def mail_absence(self, absence_id, guardian_id):
    """Tell one guardian of one absence."""
    check_ids(absence_id=absence_id, guardian_id=guardian_id)
    log.info("mail_absence absence=%s guardian=%s attempt=%s", absence_id, guardian_id, self.request.retries + 1)
    try:
        # One server, few mails: the write lock is held while the mail goes out,
        # so that a second worker finds sent_at set.
        with transaction.atomic():
            notice = _find(absence_id, guardian_id)
            if notice.sent_at is not None:
                log.info("absence=%s guardian=%s has been told already", absence_id, guardian_id)
                return
            mailer.send_absence(notice.absence, notice.guardian)
            notice.sent_at = timezone.now()
            notice.save(update_fields=["sent_at"])
    except (mailer.MailUnavailable, OperationalError) as exc:
        log.warning("absence=%s guardian=%s not told yet: %s", absence_id, guardian_id, exc)
        raise self.retry(exc=exc, countdown=backoff(self.request.retries))
    log.info("absence=%s guardian=%s told", absence_id, guardian_id)


def _find(absence_id, guardian_id):
    try:
        return Notice.objects.select_related("absence__pupil", "guardian").get(
            absence_id=absence_id, guardian_id=guardian_id
        )
    except Notice.DoesNotExist:
        raise InvalidJob(f"no notice for absence {absence_id}, guardian {guardian_id}") from None
