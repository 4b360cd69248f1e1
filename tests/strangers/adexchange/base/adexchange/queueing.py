from redis import Redis
from rq import Callback, Queue, Retry

from . import settings
from .jobs import on_failure, top_up


def queue():
    return Queue(settings.QUEUE, connection=Redis.from_url(settings.redis_url()))


def job_id_of(order_no):
    return f"topup-{order_no}"


def put(order_no):
    return queue().enqueue(
        top_up,
        kwargs={"order_no": order_no},
        job_id=job_id_of(order_no),
        retry=Retry(max=len(settings.WAITS), interval=settings.WAITS),
        on_failure=Callback(on_failure, timeout=30),
        job_timeout=settings.JOB_TIMEOUT,
        result_ttl=600,
    )


def waiting(order_no):
    """Whether a message for the order is on its way to a worker."""
    topups = queue()
    job_id = job_id_of(order_no)
    return topups.get_job_position(job_id) is not None or job_id in topups.scheduled_job_registry
