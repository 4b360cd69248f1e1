from . import orders
from .celery_app import app


@app.task(name="ticketbay.publish_pending", acks_late=False)
def publish_pending():
    orders.publish_pending()


@app.task(name="ticketbay.requeue_stuck", acks_late=False)
def requeue_stuck():
    orders.requeue_stuck()
