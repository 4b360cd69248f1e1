import json
import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from linker import deliveries

url = os.environ.get("LINKER_REDIS")
broker = RedisBroker(url=url) if url else StubBroker()
dramatiq.set_broker(broker)

KINDS = {"orders/create": "order-sync", "products/update": "product-sync"}


@dramatiq.actor(max_retries=3, min_backoff=5_000, max_backoff=60_000)
def route(delivery_id=None, topic=None, **rest):
    with deliveries.connect() as db:
        if rest or not isinstance(delivery_id, str) or topic not in KINDS:
            body = json.dumps({"delivery_id": delivery_id, "topic": topic, **rest}, sort_keys=True)
            db.execute("insert or ignore into dead_webhooks values (?)", (body,))
            return
        db.execute("insert or ignore into sync_jobs values (?, ?)", (delivery_id, KINDS[topic]))
        deliveries.record(db, delivery_id, "job_enqueued")


def process_webhook(delivery_id, topic):
    """POST /webhooks"""
    route.send(delivery_id=delivery_id, topic=topic)
    with deliveries.connect() as db:
        deliveries.record(db, delivery_id, "published")
