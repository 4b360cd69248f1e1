"""The background job: remind somebody of an appointment."""

import logging
from contextlib import closing

from procrastinate import JobContext, RetryStrategy

from clinic import db, sms
from clinic.queue import app

log = logging.getLogger(__name__)
RETRIES = 3
PASSING = (sms.Busy, TimeoutError)


@app.task(pass_context=True, retry=RetryStrategy(max_attempts=RETRIES, exponential_wait=5, retry_exceptions=PASSING))
def remind(context: JobContext, appointment_id: int | None = None, phone: str = "") -> None:
    """Reminds of one appointment, once however often the job runs."""
    log.info("reminder started appointment=%s", appointment_id)
    if not isinstance(appointment_id, int) or not phone.startswith("+"):
        give_up(appointment_id, "no appointment with a phone")
        return
    if was_sent(appointment_id):
        log.info("reminder was sent before appointment=%s", appointment_id)
        return
    try:
        sms.send(phone, appointment_id, reference=f"reminder-{appointment_id}")
    except PASSING as error:
        if context.job.attempts >= RETRIES:
            give_up(appointment_id, repr(error))
            raise
        log.warning("reminder will be retried appointment=%s reason=%r", appointment_id, error)
        raise
    except sms.Refused as error:
        give_up(appointment_id, repr(error))
        return
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into reminders values (?, ?)", (appointment_id, phone))
    log.info("reminder sent appointment=%s", appointment_id)


def was_sent(appointment_id: int) -> bool:
    with closing(db.connect()) as connection:
        found = connection.execute("select 1 from reminders where appointment_id = ?", (appointment_id,))
        return found.fetchone() is not None


def give_up(appointment_id: object, reason: str) -> None:
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_reminders values (?, ?)", (str(appointment_id), reason))
    log.error("reminder given up appointment=%s reason=%s", appointment_id, reason)
