import json
import os

from celery import Celery
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mb import http
from mb.models import Delivery, Dropped, engine

app = Celery("mb", broker=os.environ.get("MB_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


@app.task(bind=True, name="send-delivery", max_retries=3)
def send_delivery(self, message):
    with Session(engine) as session, session.begin():
        known = isinstance(message, dict) and set(message) == {"delivery_id"} and type(message["delivery_id"]) is int
        row = session.get(Delivery, message["delivery_id"]) if known else None
        if row is None:
            session.merge(Dropped(message=json.dumps(message), reason="unknown delivery"))
            return
        if row.status == "delivered":
            return
        try:
            http.post(row.webhook_id, row.event, f"delivery-{row.id}")
            row.status, failure = "delivered", None
        except http.Failing as error:
            row.status, failure = "failed", error
        if failure and self.request.retries >= self.max_retries:
            row.status = "dropped"
            session.merge(Dropped(message=json.dumps(message), reason="retries used up"))
            return
    if failure:
        raise self.retry(exc=failure, countdown=60 * 2**self.request.retries)


def publish(delivery_id):
    send_delivery.delay({"delivery_id": delivery_id})
    with Session(engine) as session, session.begin():
        session.execute(update(Delivery).where(Delivery.id == delivery_id, Delivery.status == "pending").values(status="queued"))


def announce(webhook_id, event):
    """A user was deleted: tell the webhook."""
    with Session(engine) as session, session.begin():
        row = Delivery(webhook_id=webhook_id, event=event)
        session.add(row)
        session.flush()
        delivery_id = row.id
    publish(delivery_id)


def requeue():
    """Every five minutes: publish again what has not gone through."""
    with Session(engine) as session:
        waiting = session.scalars(select(Delivery.id).where(Delivery.status == "failed")).all()
    for delivery_id in waiting:
        publish(delivery_id)
