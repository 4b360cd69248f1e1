"""python -m sternwarte.rescue: bookings that have stood still are brought back.

A booking stands still when Redis was away after the booking's commit or lost its
memory, when RQ gave up without calling our callback (its work horse was killed in
the last attempt), or when the callback could not write. Of a job that RQ has given
up on nobody makes another attempt: its dead letter is written here.
"""
import logging

from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

from . import config, desk
from .repositories import Bookings, transaction
from .tasks import bury, job_id_for, message_for, note


def rescue():
    with transaction() as conn:
        stale = Bookings(conn).stale()
    queue = desk.queue()
    for booking in stale:
        job_id = job_id_for(booking.id)
        if queue.get_job_position(job_id) is not None:
            continue  # a long queue; it comes
        try:
            job = Job.fetch(job_id, connection=queue.connection)
            given_up = job.get_status() == JobStatus.FAILED
        except NoSuchJobError:
            job, given_up = None, False
        if given_up or booking.attempts >= config.MAX_ATTEMPTS or booking.rescues >= config.MAX_RESCUES:
            bury(message_for(booking.id), "GivenUp", booking.attempts)
            continue
        if job is not None:
            job.delete()  # out of whatever registry it has got stuck in
        desk.enqueue(booking.id)
        with transaction() as conn:
            Bookings(conn).note_rescue(booking.id)
        note("rescued", booking.id, booking.attempts)
    return len(stale)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    rescue()
