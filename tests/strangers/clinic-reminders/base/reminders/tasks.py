import logging

from django.conf import settings
from huey.contrib.djhuey import db_task
from huey.exceptions import CancelExecution

from . import claims, delivery

log = logging.getLogger(__name__)


@db_task(retries=settings.REMINDER_ATTEMPTS - 1, retry_delay=settings.REMINDER_RETRY_SECONDS, context=True)
def send_reminder(task=None, **message):
    token = task.id if task else "by-hand"
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
