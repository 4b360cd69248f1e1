"""Who enqueues or schedules an arq job: `enqueue_job` with its name, `cron(...)`.

Sources: arq/connections.py (`enqueue_job`), arq/worker.py (`run_cron`).
"""

from __future__ import annotations

from skillrun.frameworks.arq.workers import MANNER
from skillrun.frameworks.common.listed_sends import Queueing, find_parameters
from skillrun.frameworks.common.sender import Pickling, Sender, Unkeyed, calls_method

QUEUEING = Queueing(
    manner=MANNER,
    methods=("enqueue_job",),
    keyword="function",
    cron="cron",
    options=frozenset(
        ("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try")
    ),
)


SENDER = Sender(
    find_sends=QUEUEING.find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit="arq does not look when it is enqueued, the job fails with TypeError in the worker",
    taker="beside ctx the function takes",
    after_commit="enqueue it after the block",
    unkeyed=Unkeyed(
        publishes=lambda job, call: calls_method(call, ("enqueue_job",), key="_job_id"),
        again="each run enqueues once more",
        hint="_job_id=<made of the job's key>, and let the other job de-duplicate as well",
    ),
    pickling=Pickling(
        "jobs are pickled (arq's default): whoever can write to this Redis runs code in the worker",
        hint=(
            "job_serializer and job_deserializer (msgpack, json), or a Redis that only this"
            " application reaches"
        ),
        is_default=True,
    ),
)
