"""Who enqueues or schedules an arq job: `enqueue_job` with its name, `cron(...)`.

Sources: arq/connections.py (`enqueue_job`), arq/worker.py (`run_cron`).
"""

from __future__ import annotations

from skillrun.frameworks.arq.workers import MANNER
from skillrun.frameworks.common.listed_sends import Queueing, make_sender
from skillrun.frameworks.common.sender import pickle_in_redis

QUEUEING = Queueing(
    manner=MANNER,
    methods=("enqueue_job",),
    keyword="function",
    cron="cron",
    options=frozenset(
        ("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try")
    ),
)


SENDER = make_sender(
    QUEUEING,
    "arq",
    context="ctx",
    key="_job_id",
    pickling=pickle_in_redis(
        "jobs are pickled (arq's default)",
        "job_serializer and job_deserializer (msgpack, json)",
        is_default=True,
    ),
)
