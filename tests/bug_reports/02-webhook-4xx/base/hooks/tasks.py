import json
import os

from celery import Celery, Task
from sqlalchemy.orm import Session

from hooks import client
from hooks.models import DeadLetter, Delivery, engine

app = Celery("hooks", broker=os.environ.get("HOOKS_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


class Recorded(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        message = json.dumps(kwargs, sort_keys=True)
        with Session(engine) as session:
            session.merge(DeadLetter(message=message, error=type(exc).__name__))
            session.commit()


@app.task(
    base=Recorded,
    name="hooks.deliver",
    autoretry_for=(client.DeliveryFailed,),
    max_retries=5,
    retry_backoff=10,
    retry_backoff_max=600,
    retry_jitter=False,
)
def deliver(**message):
    if list(message) != ["delivery_id"] or type(message["delivery_id"]) is not int:
        raise ValueError("not a delivery")
    with Session(engine) as session:
        delivery = session.get(Delivery, message["delivery_id"])
        if delivery is None:
            raise ValueError("no such delivery")
        if delivery.status == "delivered":
            return
        client.post(delivery.url, delivery.body, delivery.id)
        delivery.status = "delivered"
        session.commit()


def trigger(delivery_id):
    deliver.delay(delivery_id=delivery_id)
