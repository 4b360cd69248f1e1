"""The Celery app and its settings."""

import os

from celery import Celery

QUEUE = os.environ.get("SHOP_QUEUE", "queue")

app = Celery("shop", include=["shop.tasks"])
app.conf.update(
    # A folder is enough to try the shop; production sets redis:// or amqp://, which redeliver after a crash.
    broker_url=os.environ.get("SHOP_BROKER_URL", "filesystem://"),
    broker_transport_options={
        # Redis gives a message to a second worker after this many seconds without acknowledgement.
        # It must be longer than the longest retry delay (60 s), or waiting retries run twice.
        "visibility_timeout": 3600,
        # The folder broker.
        "data_folder_in": QUEUE,
        "data_folder_out": QUEUE,
        "control_folder": os.path.join(QUEUE, "control"),
    },
    broker_connection_retry_on_startup=True,
    # Payloads are plain values, so that old messages stay readable.
    task_serializer="json",
    accept_content=["json"],
    # Acknowledged after the work; a worker that dies gives its message back, and that uses up an attempt:
    # a message that kills its worker would come back for ever otherwise.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_retry_on_worker_lost=True,
    # A worker holds one message at a time, so a slow mail keeps no other from being sent.
    worker_prefetch_multiplier=1,
    # Nobody reads results: the receipts table and the log say what happened.
    task_ignore_result=True,
)
