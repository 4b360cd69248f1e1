from django.conf import settings
from redis import Redis
from rq import Queue, Retry

# Five attempts in all: the first, and one after each of these waits.
RETRY_WAITS = [30, 120, 480, 1920]
MAX_ATTEMPTS = len(RETRY_WAITS) + 1


def rent_queue():
    return Queue(settings.RENT_QUEUE, connection=Redis.from_url(settings.RQ_REDIS_URL))


def enqueue_collection(tenancy_id, period):
    from rents.tasks import collect_rent

    return rent_queue().enqueue(
        collect_rent,
        kwargs={"tenancy_id": tenancy_id, "period": period},
        retry=Retry(max=len(RETRY_WAITS), interval=RETRY_WAITS),
        job_timeout=90,
        description=f"collect rent of tenancy {tenancy_id} for {period}",
    )
