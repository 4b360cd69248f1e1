"""What the booking form and the rescuer call."""
from redis import Redis
from rq import Callback, Queue, Retry

from . import config
from .repositories import Bookings, transaction
from .tasks import job_id_for, message_for, on_failure, reserve_slot


def queue():
    return Queue(config.QUEUE, connection=Redis.from_url(config.REDIS_URL))


def enqueue(booking_id):
    return queue().enqueue(
        reserve_slot,
        message_for(booking_id),
        job_id=job_id_for(booking_id),
        retry=Retry(max=4, interval=config.RETRY_WAITS),
        on_failure=Callback(on_failure, timeout=30),
        job_timeout=config.JOB_TIMEOUT,
        result_ttl=86400,
    )


def request_slot(booking_id, observer, telescope, night, slot):
    """Books. Called again with the same booking it does no harm: the row is there,
    and the job finds out whether there is anything left to do."""
    with transaction() as conn:
        Bookings(conn).request(booking_id, observer, telescope, night, slot)
        booking = Bookings(conn).get(booking_id)
    if booking.status == "requested":
        enqueue(booking_id)
    return booking.status
