"""The job of arq that these tests have written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from samples import Combination

arq_cron = pytest.importorskip("arq.cron")
croniter = pytest.importorskip("croniter")
TASKS, WORKER, TESTS = "shop/tasks.py", "shop/worker.py", "tests/test_send_receipt.py"
SPEC = ".skillrun/jobs/send-receipt.json"
BASE = Combination("arq")
CRON = replace(BASE, trigger="cron")
STUB = 'raise NotImplementedError("shop.mailer:send is still a stub")'
ERRORS = "class Unavailable(Exception): ...\n\n\nclass BadAddress(Exception): ...\n\n\n"
BLOCKING = f"{ERRORS}def send(order_id: int, email: str, *, idempotency_key: str) -> None: ...\n"

# -- the worker's settings


SENDS = (
    "from arq import create_pool\n\n\nasync def publish():\n    await (await"
    " create_pool()).enqueue_job('sweep')\n"
)


def worker(
    redis: str = "    redis_settings = REDIS\n", head: str = "from shop.queues import REDIS\n"
) -> str:
    return (
        f"{head}from shop.tasks import sweep\n\n\nclass WorkerSettings:\n    functions ="
        f" [sweep]\n{redis}"
    )


OWN = "    redis_settings = RedisSettings()\n"
ARQ = "from arq.connections import RedisSettings\n\n"
