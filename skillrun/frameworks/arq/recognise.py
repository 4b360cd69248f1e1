"""Is arq in use, and where: its worker settings, the modules of their functions, cron jobs, worker
starts.
"""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="arq",
    title="arq",
    language="python",
    distributions=("arq",),
    modules=("arq", "arq.*"),
    words=(b"arq", b"WorkerSettings"),  # settings may name neither the library nor Redis
    apps=(
        "class *WorkerSettings if arq.*",
        "base arq.worker.BaseWorker",
        "base arq.BaseWorker",
        "field *.redis_settings if arq.*",
        "class WorkerSettings",
        "call arq.worker.Worker",
        "call arq.Worker",
    ),
    tasks=("lists *", "holds *", "mark arq.concurrent", "base arq.Actor"),
    sends=("call arq.create_pool", "call arq.connections.create_pool"),
    schedules={
        "call arq.cron": "arq cron",
        "call arq.cron.cron": "arq cron",
        "mark arq.cron": "arq cron",
    },
    broker="redis",
    starts=("arq",),
    objects=True,
    own="arq/worker.py",
)
