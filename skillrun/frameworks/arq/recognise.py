"""Is arq in use, and where: its worker settings, the modules of their functions, cron jobs, worker
starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.known.entry import Known
from skillrun.frameworks.known.recognise import KnownRecogniser

if TYPE_CHECKING:
    from skillrun.repo.survey import Recogniser

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
    tasks=("lists *", "mark arq.concurrent", "base arq.Actor"),
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


def recogniser() -> Recogniser:
    """Read as the libraries are that are only recognised: marks over one pass."""
    return KnownRecogniser(ENTRY)
