"""Rust's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

RUST = (
    Known(
        id="apalis",
        title="Apalis",
        language="rust",
        distributions=("apalis", "apalis-*"),
        modules=("apalis::*", "apalis_*"),
        words=(b"apalis",),
        apps=(
            "call apalis::*Monitor::new",
            "call apalis*::Monitor::new",
            "call apalis*::WorkerBuilder::new",
        ),
        tasks=("call apalis*::WorkerBuilder::new", "import apalis::prelude*"),
        schedules={"import apalis_cron*": "apalis-cron"},
        brokers={
            "dep apalis-redis": "redis",
            "dep apalis-postgres": "postgres",
            "dep apalis-sql": "sql",
            "dep apalis-amqp": "rabbitmq",
        },
        own="apalis-core/src/lib.rs",
    ),
    Known(
        id="plain-cron",
        title="a timer in the process",
        language="rust",
        distributions=("tokio-cron-scheduler", "clokwerk"),
        modules=("tokio_cron_scheduler*", "clokwerk*"),
        words=(b"tokio_cron_scheduler", b"clokwerk"),
        tasks=("call tokio_cron_scheduler::*", "call clokwerk::*"),
        schedules={
            "call tokio_cron_scheduler::*": "tokio-cron-scheduler",
            "call clokwerk::*": "clokwerk",
        },
        own="src/job_scheduler.rs",
    ),
)
