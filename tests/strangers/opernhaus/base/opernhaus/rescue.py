"""python -m opernhaus.rescue, every hour by cron.

A booking stands still when Redis was away as it was to be queued, when Redis has lost
its memory, or when RQ gave up and the callback could not write it down.
"""
from loguru import logger
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from . import box_office, house, ledger, settings
from .annulment import Exhausted, bury, job_id_of, say
from .log import configure


def rescue():
    brought_back = 0
    with house():
        for booking in ledger.standing_still():
            try:
                brought_back += _rescue(booking)
            except Exception as error:
                # The next one may do better, and this one in an hour.
                say("ERROR", "not-rescued", booking.no, booking.attempts, job_id_of(booking.no),
                    error=type(error).__name__)
    return brought_back


def _rescue(booking):
    job_id = job_id_of(booking.no)
    queue = box_office.queue()
    if queue.get_job_position(job_id) is not None:
        return 0  # it is in a long queue
    try:
        job = Job.fetch(job_id, connection=queue.connection)
    except NoSuchJobError:
        job = None
    given_up = job is not None and job.get_status() == JobStatus.FAILED
    if given_up or booking.attempts >= settings.MAX_ATTEMPTS or booking.rescues >= settings.MAX_RESCUES:
        bury({"booking_no": booking.no}, Exhausted, job_id)
        return 0
    if job is not None:
        job.delete()
    box_office.put_in_queue(booking.no)
    ledger.count_rescue(booking.no)
    say("WARNING", "rescued", booking.no, booking.attempts, job_id)
    return 1


def main():
    configure()
    logger.info("rescue outcome=done brought_back={}", rescue())


if __name__ == "__main__":
    main()
