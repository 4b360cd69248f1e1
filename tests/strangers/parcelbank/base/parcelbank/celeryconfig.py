"""Celery's own settings, in Celery's own names."""
from kombu import Exchange, Queue

from parcelbank import settings

broker_url = settings.load().broker_url
broker_connection_retry_on_startup = True

_exchange = Exchange("parcelbank", type="direct", durable=True)
task_queues = [
    Queue("payouts", _exchange, routing_key="payouts", durable=True),
    Queue("housekeeping", _exchange, routing_key="housekeeping", durable=True),
]
task_default_queue = "housekeeping"
task_default_exchange = "parcelbank"
task_default_routing_key = "housekeeping"
task_routes = {"parcelbank.send_payout": {"queue": "payouts", "routing_key": "payouts"}}

task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
worker_prefetch_multiplier = 1

imports = ["parcelbank.jobs.payouts", "parcelbank.jobs.housekeeping"]

beat_schedule = {
    "publish-outbox": {"task": "parcelbank.publish_outbox", "schedule": 30.0},
    "republish-stuck": {"task": "parcelbank.republish_stuck", "schedule": 900.0},
}
