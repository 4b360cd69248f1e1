"""Is SAQ in use, and where: its queues and workers, the modules of their functions, cron jobs."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ENTRY = Known(
    id="saq",
    title="SAQ",
    language="python",
    distributions=("saq", "litestar-saq"),
    modules=("saq", "saq.*", "litestar_saq", "litestar_saq.*"),
    # Settings may name neither the library nor anything of it.
    words=(b"saq", b"functions", b"cron_jobs"),
    worth=r"saq|cron_jobs|\bfunctions[\"']?\s*[:=]",
    apps=(
        "made saq.Queue.from_url",
        "made saq.queue.Queue.from_url",
        "made saq.Queue",
        "made saq.queue.redis.RedisQueue",
        "made saq.RedisQueue",
        "call saq.Worker",
        "call saq.worker.Worker",
        "call litestar_saq.QueueConfig",
    ),
    clients=("call ~app.enqueue", "call ~app.apply", "call ~app.map"),
    tasks=("lists *", "holds *"),
    sends=("call saq.Job", "call saq.job.Job"),
    schedules={"call saq.CronJob": "SAQ cron", "call saq.job.CronJob": "SAQ cron"},
    brokers={"call saq.queue.postgres.PostgresQueue": "postgresql"},
    addresses="saq",
    broker="redis",
    starts=("saq",),
    objects=True,
    own="saq/worker.py",
)
