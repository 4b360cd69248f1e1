"""Is taskiq in use, and where: its brokers, the modules of their tasks, schedulers, worker
starts.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="taskiq",
    title="Taskiq",
    language="python",
    distributions=("taskiq", "taskiq-*"),
    modules=("taskiq*",),
    words=(b"taskiq", b".task"),
    apps=("call taskiq_*.*Broker", "call taskiq.*Broker*"),
    tasks=("mark ~app.task", "mark taskiq.*.task", "mark taskiq.*.async_shared_broker.task"),
    sends=("call ~app.task", "call taskiq.TaskiqScheduler", "call taskiq.*.TaskiqScheduler"),
    schedules={"call taskiq.*TaskiqScheduler": "taskiq scheduler"},
    brokers={
        "call taskiq_redis.*": "redis",
        "call taskiq_aio_pika.*": "rabbitmq",
        "call taskiq_nats.*": "nats",
        "call taskiq_aio_kafka.*": "kafka",
        "call taskiq_pg.*": "postgres",
        "call taskiq.*InMemoryBroker": "memory",
    },
    starts=("taskiq worker",),
    objects=True,
    own="taskiq/abc/broker.py",
)
