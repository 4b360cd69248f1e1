"""The background job: tell a reader that the subscription was renewed."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django_tasks import task

from magazine import mailer
from magazine.models import FailedNotice, Month, Renewal

logger = logging.getLogger("magazine")
ATTEMPTS = 4


def give_up(number: str, error: Exception) -> None:
    """Keeps the job for a person."""
    logger.error("renewal %s: notice given up: %r", number, error)
    FailedNotice.objects.get_or_create(number=number, defaults={"reason": repr(error)})


def notify(number: str) -> None:
    """Sends the mail, counts it and marks the renewal, once."""
    renewal = Renewal.objects.get(number=number)
    if renewal.notice:
        logger.info("renewal %s: notice was sent before", number)
        return
    mail = mailer.send(number, key=f"renewal-{number}")
    with transaction.atomic():
        marked = Renewal.objects.filter(number=number, notice="").update(notice=mail)
        if marked:
            Month.objects.filter(name="May").update(sent=F("sent") + 1)
    logger.info("renewal %s: notice sent", number)


@task()
def send_notice(number: str, attempt: int = 1) -> None:
    """Four attempts, 30, 60 and 120 seconds apart: the library has none of its own."""
    logger.info("renewal %s: notice starts, attempt %s", number, attempt)
    try:
        notify(number)
    except (mailer.MailerDown, TimeoutError) as error:
        if attempt >= ATTEMPTS:
            give_up(number, error)
            raise
        wait = timedelta(seconds=min(30 * 2 ** (attempt - 1), 300))
        logger.warning("renewal %s: notice is tried again in %s after %r", number, wait, error)
        send_notice.using(run_after=timezone.now() + wait).enqueue(number, attempt=attempt + 1)
    except (mailer.Refused, Renewal.DoesNotExist) as error:
        give_up(number, error)
        raise
