"""Real repositories with a taskiq task, what skillrun reads in them, and a small shop that every
stage passes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import SPEC_PATH, Shop, case_of, edited_file, examine, findings, opened
from receipt_job import SPEC

from skillrun.frameworks.taskiq import FRAMEWORK as taskiq
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
BROKER = """
    from taskiq import SmartRetryMiddleware, SimpleRetryMiddleware, TaskiqMiddleware, TaskiqScheduler, NoResultError
    from taskiq import InMemoryBroker
    from taskiq_redis import ListQueueBroker, ListRedisScheduleSource, RedisStreamBroker
    from shop import dead_jobs, mailer

    due = ListRedisScheduleSource(URL)
    scheduler = TaskiqScheduler(broker, sources=[due])
    """
TASKS = '''
    import logging

    from shop import mailer
    from shop.broker import broker

    log = logging.getLogger(__name__)


    @broker.task(retry_on_error=True)
    async def send_receipt(order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s", order_id)
        await mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        log.info("receipt sent order_id=%s", order_id)
    '''
OUTCOMES = """
    class Outcomes(TaskiqMiddleware):
        async def on_error(self, message, result, exception):
            order_id = message.kwargs["order_id"]
            if isinstance(result.error, NoResultError):
                log.warning("receipt failed order_id=%s, will retry: %r", order_id, exception)
            else:
                log.error("receipt failed order_id=%s: %r", order_id, exception)
                await dead_jobs.record(order_id, repr(exception))
    """
FILES: dict[str, str] = {
    "requirements.txt": "taskiq>=0.12\ntaskiq-redis>=1.2\n",
    "Procfile": "worker: taskiq worker shop.broker:broker shop.tasks\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/broker.py": (
        f"""
        import logging

        from taskiq import NoResultError, SmartRetryMiddleware, TaskiqMiddleware, TaskiqScheduler
        from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

        from shop import dead_jobs, mailer

        log = logging.getLogger(__name__)
        URL = "redis://localhost"

{textwrap.indent(textwrap.dedent(OUTCOMES), " " * 8)}
        class Doubling(SmartRetryMiddleware):
            def make_delay(self, message, retries):
                return min(2 * 2 ** (retries - 1), 60)

        due = ListRedisScheduleSource(URL)
        broker = RedisStreamBroker(URL).with_middlewares(
            Outcomes(),
            Doubling(
                default_retry_count=5,
                schedule_source=due,
                types_of_exceptions=(mailer.Unavailable, TimeoutError),
            ),
        )
        scheduler = TaskiqScheduler(broker, sources=[due])
        """
    ),
    "shop/orders.py": (
        """
        from shop.tasks import send_receipt

        async def settle(order_id, email):
            await send_receipt.kiq(order_id=order_id, email=email)
        """
    ),
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        import asyncio
        import pytest
        from shop import mailer, tasks

        def test_happy(outbox):
            asyncio.run(tasks.send_receipt(7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(mailer.Unavailable):
                asyncio.run(tasks.send_receipt(7, "a@example.com"))
            asyncio.run(tasks.send_receipt(7, "a@example.com"))
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            with pytest.raises(mailer.BadAddress):
                asyncio.run(tasks.send_receipt(7, "a@example.com"))
            assert outbox == []
        """
    ),
}


def open_shop(root: Path, tasks: str, *, broker: str, **files: str) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {
        "shop/tasks.py": tasks,
        "shop/broker.py": textwrap.dedent(BROKER) + textwrap.dedent(broker),
    }
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    use = FrameworkUse("taskiq", app="shop/broker.py:broker", apps=("shop/broker.py:broker",))
    return opened(root, taskiq, use, every)


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
    "it is no task": (
        "handler",
        edited("shop/tasks.py", "    @broker.task(retry_on_error=True)\n", ""),
        "handler.not-registered",
    ),
    "nobody kicks it": (
        "handler",
        edited("shop/orders.py", "await send_receipt.kiq(order_id=order_id, email=email)", "pass"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited("shop/tasks.py", "(order_id, email)", "(order_id, email, copy)"),
        "handler.signature-differs",
    ),
    "fewer attempts": (
        "retry",
        edited("shop/broker.py", "default_retry_count=5", "default_retry_count=4"),
        "retry.max-attempts-differs",
    ),
    "nobody asks for retries": (
        "retry",
        edited("shop/tasks.py", "retry_on_error=True", ""),
        "taskiq.retry-not-asked",
    ),
    "another wait": (
        "retry",
        edited("shop/broker.py", "min(2 *", "min(3 *"),
        "retry.backoff-differs",
    ),
    "an error that is not retried": (
        "retry",
        edited("shop/broker.py", "(mailer.Unavailable, TimeoutError)", "(mailer.Unavailable,)"),
        "retry.transient-not-retried",
    ),
    "no dead letter": (
        "dead-letter",
        edited("shop/broker.py", "await dead_jobs.record(order_id, repr(exception))", "pass"),
        "dead-letter.not-written",
    ),
    "silence about retries": (
        "observability",
        edited("shop/broker.py", 'log.warning("receipt failed order_id=%s, will retry', 'str("'),
        "observability.retries",
    ),
}
