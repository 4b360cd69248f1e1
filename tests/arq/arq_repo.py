"""Real repositories with an arq job, what skillrun reads in them, and a small shop that every stage
passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import SPEC_PATH, Shop, case_of, edited_file, examine, findings, opened
from receipt_job import SPEC

from skillrun.frameworks.arq import FRAMEWORK as arq
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase

__all__ = ["SPEC", "SPEC_PATH", "build", "examine", "findings", "open_shop"]

MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    async def send(order_id, email="", *, idempotency_key=None):
        await db.execute("INSERT INTO receipts VALUES ($1, $2) ON CONFLICT DO NOTHING", order_id, email)
        await post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    async def record(payload, reason):
        await db.execute("INSERT INTO dead_jobs (payload, reason) VALUES ($1, $2)", payload, reason)
    """
WORKER = """
    from arq import cron, func
    from arq.connections import RedisSettings
    from shop.tasks import send_receipt

    class WorkerSettings:
        functions = [send_receipt]
        redis_settings = RedisSettings()
    """
TASKS = '''
    import logging

    from arq import Retry

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)
    ATTEMPTS = 5


    async def send_receipt(ctx, order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, ctx["job_id"])
        try:
            await mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except (mailer.Unavailable, TimeoutError) as error:
            if ctx["job_try"] >= ATTEMPTS:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                await dead_jobs.record(order_id, repr(error))
                return
            log.warning("receipt failed order_id=%s, will retry, try %s: %r", order_id, ctx["job_try"], error)
            raise Retry(defer=min(2 * 2 ** (ctx["job_try"] - 1), 60)) from error
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            await dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)
    '''
FILES: dict[str, str] = {
    "requirements.txt": "arq>=0.26\n",
    "Procfile": "worker: arq shop.worker.WorkerSettings\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/worker.py": (
        """
        from arq import func
        from arq.connections import RedisSettings

        from shop.tasks import ATTEMPTS, send_receipt

        class WorkerSettings:
            functions = [func(send_receipt, max_tries=ATTEMPTS + 5)]
            redis_settings = RedisSettings()
        """
    ),
    "shop/orders.py": (
        """
        from arq import create_pool

        from shop.worker import WorkerSettings

        async def settle(order_id, email):
            redis = await create_pool(WorkerSettings.redis_settings)
            await redis.enqueue_job("send_receipt", order_id, email)
        """
    ),
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        import asyncio
        import pytest
        from arq import Retry
        from shop import mailer, tasks

        CTX = {"job_try": 1, "job_id": "x"}

        def test_happy(outbox):
            asyncio.run(tasks.send_receipt(CTX, 7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(Retry):
                asyncio.run(tasks.send_receipt(CTX, 7, "a@example.com"))
            asyncio.run(tasks.send_receipt(CTX, 7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            asyncio.run(tasks.send_receipt(CTX, 7, "a@example.com"))
            assert outbox == []
        """
    ),
}


def open_shop(root: Path, tasks: str, *, worker: str = WORKER, **files: str) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {"shop/tasks.py": tasks, "shop/worker.py": worker}
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    use = FrameworkUse(
        "arq", app="shop/worker.py:WorkerSettings", apps=("shop/worker.py:WorkerSettings",)
    )
    return opened(root, arq, use, every)


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    return case_of(root, {**FILES, **(files or {})}, spec)


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """The sample's file with `old`, which must be in it, replaced."""
    return edited_file(FILES, path, old, new)


# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "no worker lists it": (
        "handler",
        edited("shop/worker.py", "func(send_receipt, max_tries=ATTEMPTS + 5)", "print"),
        "handler.not-registered",
    ),
    "nobody enqueues it": (
        "handler",
        edited(
            "shop/orders.py", 'await redis.enqueue_job("send_receipt", order_id, email)', "pass"
        ),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited("shop/tasks.py", "(ctx, order_id, email)", "(ctx, order_id, email, copy)"),
        "handler.signature-differs",
    ),
    "fewer attempts": (
        "retry",
        edited("shop/tasks.py", "ATTEMPTS = 5", "ATTEMPTS = 4"),
        "retry.max-attempts-differs",
    ),
    "another wait": (
        "retry",
        edited("shop/tasks.py", "min(2 *", "min(3 *"),
        "retry.backoff-differs",
    ),
    "an error that is let out": (
        "retry",
        edited("shop/tasks.py", "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"),
        "arq.plain-exception",
    ),
    "no dead letter": (
        "dead-letter",
        edited("shop/tasks.py", "await dead_jobs.record(order_id, repr(error))", "pass"),
        "dead-letter.not-written",
    ),
    "silence about retries": (
        "observability",
        edited(
            "shop/tasks.py", 'log.warning("receipt failed order_id=%s, will retry, try', 'str("'
        ),
        "observability.retries",
    ),
}
