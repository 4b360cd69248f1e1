from redis import Redis
from redis.exceptions import RedisError
from rq import Callback, Queue, Retry

from . import house, ledger, settings
from .annulment import annul_booking, job_id_of, on_failure, say


def queue():
    return Queue(settings.QUEUE, connection=Redis.from_url(settings.redis_url()))


def put_in_queue(booking_no):
    return queue().enqueue(
        annul_booking,
        kwargs={"booking_no": booking_no},
        job_id=job_id_of(booking_no),
        retry=Retry(max=len(settings.WAITS), interval=settings.WAITS),
        on_failure=Callback(on_failure, timeout=30),
        job_timeout=settings.JOB_TIMEOUT,
        result_ttl=3600,
    )


def request_annulment(booking_no):
    """Called again for the same booking it queues again, and the job finds nothing left to do."""
    with house():
        ledger.ask_for_annulment(booking_no)
        booking = ledger.read(booking_no)
        if booking is None:
            return None
        if booking.status == "annulling":
            try:
                put_in_queue(booking_no)
            except RedisError as error:
                # The booking says annulling; the rescuer queues it.
                say("WARNING", "not-queued", booking_no, booking.attempts, job_id_of(booking_no),
                    error=type(error).__name__)
        return booking.status
