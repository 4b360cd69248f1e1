"""Real repositories with a SAQ job, what skillrun reads in them, and a small shop that every stage
passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import Shop, case_of, edited_file, opened

from skillrun.frameworks.saq import FRAMEWORK as saq
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase

USE = FrameworkUse("saq", app="shop/queues.py:queue", apps=("shop/queues.py:queue",))
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
TASKS = '''
    import logging

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)
    ATTEMPTS = 5


    async def send_receipt(ctx, order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        job = ctx["job"]
        log.info("receipt started order_id=%s job=%s", order_id, job.key)
        try:
            await mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except (mailer.Unavailable, TimeoutError) as error:
            if job.attempts >= ATTEMPTS:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                await dead_jobs.record(order_id, repr(error))
                return
            log.warning("receipt failed order_id=%s, will retry, try %s: %r", order_id, job.attempts, error)
            job.retry_delay = min(2 * 2 ** (job.attempts - 1), 60)
            raise
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            await dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)
    '''
ENQUEUE = (
    'await queue.enqueue("send_receipt", order_id=order_id, email=email, retries=ATTEMPTS + 5)'
)
FILES: dict[str, str] = {
    "requirements.txt": "saq[redis]>=0.26\n",
    "Procfile": "worker: saq shop.worker.settings -v\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/queues.py": (
        """
        from saq import Queue

        queue = Queue.from_url("redis://localhost")
        """
    ),
    "shop/worker.py": (
        """
        from shop.queues import queue
        from shop.tasks import send_receipt

        settings = {"queue": queue, "functions": [send_receipt]}
        """
    ),
    "shop/orders.py": f"""
        from shop.queues import queue
        from shop.tasks import ATTEMPTS

        async def settle(order_id, email):
            {ENQUEUE}
        """,
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        import asyncio
        import pytest
        from saq import Job
        from shop import mailer, tasks

        CTX = {"job": Job("send_receipt", attempts=1, retries=10)}

        def test_happy(outbox):
            asyncio.run(tasks.send_receipt(CTX, 7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(mailer.Unavailable):
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


def _edited(path: str, old: str, new: str) -> dict[str, str]:
    return edited_file(FILES, path, old, new)


# What is broken -> (stage, files, rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "no worker lists it": (
        "handler",
        _edited("shop/worker.py", "[send_receipt]", "[print]"),
        "handler.not-registered",
    ),
    "nobody enqueues it": (
        "handler",
        _edited("shop/orders.py", ENQUEUE, "pass"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        _edited("shop/tasks.py", "(ctx, order_id, email)", "(ctx, order_id, email, copy)"),
        "handler.signature-differs",
    ),
    "fewer attempts": (
        "retry",
        _edited("shop/tasks.py", "ATTEMPTS = 5", "ATTEMPTS = 4"),
        "retry.max-attempts-differs",
    ),
    "who enqueues it asks for none": (
        "retry",
        _edited("shop/orders.py", ", retries=ATTEMPTS + 5", ""),
        "saq.retries-below-spec",
    ),
    "another wait": (
        "retry",
        _edited("shop/tasks.py", "min(2 *", "min(3 *"),
        "retry.backoff-differs",
    ),
    "a permanent error that is let out": (
        "retry",
        _edited("shop/tasks.py", "except mailer.BadAddress", "except KeyError"),
        "saq.permanent-retried",
    ),
    "no dead letter": (
        "dead-letter",
        {
            "shop/tasks.py": FILES["shop/tasks.py"].replace(
                "await dead_jobs.record(order_id, repr(error))", "pass"
            )
        },
        "dead-letter.not-written",
    ),
    "silence about retries": (
        "observability",
        _edited(
            "shop/tasks.py", 'log.warning("receipt failed order_id=%s, will retry, try', 'str("'
        ),
        "observability.retries",
    ),
}


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    return case_of(root, {**FILES, **(files or {})}, spec)


def open_shop(root: Path, **files: str) -> Shop:
    """The small shop with other modules of its package in it, e.g. `orders="..."`."""
    more = {f"shop/{name}.py": text for name, text in files.items()}
    return opened(root, saq, USE, {**FILES, **more})
