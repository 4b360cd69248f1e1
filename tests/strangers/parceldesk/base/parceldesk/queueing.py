import random

from redis import Redis
from rq import Callback, Queue, Retry

from .config import load

WAITS = (30, 60, 120, 240)  # seconds before the second, third, ... attempt


def label_queue():
    return Queue("labels", connection=Redis.from_url(load().redis_url), default_timeout=60)


def waits():
    return [random.randint(wait // 2, wait) for wait in WAITS]


def publish_label(shipment_id, parcel):
    return label_queue().enqueue(
        "parceldesk.jobs.print_label",
        shipment_id=shipment_id,
        parcel=parcel,
        retry=Retry(max=len(WAITS), interval=waits()),
        on_failure=Callback("parceldesk.jobs.label_failed"),
        description=f"print-label {shipment_id}/{parcel}",
    )
