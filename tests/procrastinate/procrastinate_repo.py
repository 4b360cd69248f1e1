"""Real repositories with a Procrastinate task, what skillrun reads in them, and a small shop that
all stages pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import SPEC_PATH, Shop, case_of, edited_file, examine, findings, opened
from receipt_job import SPEC

from skillrun.frameworks.procrastinate import FRAMEWORK as procrastinate
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase

__all__ = ["SPEC", "SPEC_PATH", "build", "examine", "findings", "open_shop"]

MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email="", *, idempotency_key=None):
        execute("INSERT INTO receipts VALUES ($1, $2) ON CONFLICT DO NOTHING", order_id, email)
        post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    def record(payload, reason):
        execute("INSERT INTO dead_jobs (payload, reason) VALUES ($1, $2)", payload, reason)
    """
QUEUE = """
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(), import_paths=["shop.tasks", "shop.stalled"])
    """
STALLED = """
    from shop.queue import app

    @app.periodic(cron="*/10 * * * *")
    @app.task(queueing_lock="retry_stalled")
    async def retry_stalled(timestamp):
        for job in await app.job_manager.get_stalled_jobs():
            if job.attempts < 20:
                await app.job_manager.retry_job(job)
    """
TASKS = '''
    import logging

    from procrastinate import RetryStrategy

    from shop import dead_jobs, mailer
    from shop.queue import app

    log = logging.getLogger(__name__)
    RETRIES = 4
    PASSING = (mailer.Unavailable, TimeoutError)


    @app.task(
        pass_context=True, retry=RetryStrategy(max_attempts=RETRIES, exponential_wait=2, retry_exceptions=PASSING)
    )
    def send_receipt(context, order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, context.job.id)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except PASSING as error:
            if context.job.attempts >= RETRIES:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                raise
            log.warning("receipt failed order_id=%s, will retry, attempt %s: %r", order_id, context.job.attempts, error)
            raise
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)
    '''
FILES: dict[str, str] = {
    "requirements.txt": "procrastinate>=3\n",
    "Procfile": "worker: procrastinate --app=shop.queue.app worker\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/queue.py": QUEUE,
    "shop/stalled.py": STALLED,
    "shop/orders.py": (
        """
        from shop.tasks import send_receipt

        def settle(order_id, email):
            send_receipt.defer(order_id=order_id, email=email)
        """
    ),
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        import pytest
        from types import SimpleNamespace
        from shop import mailer, tasks

        CONTEXT = SimpleNamespace(job=SimpleNamespace(id=1, attempts=0))

        def test_happy(outbox):
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            with pytest.raises(mailer.Unavailable):
                tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(CONTEXT, order_id=7, email="a@example.com")
            assert outbox == []
        """
    ),
}


def open_shop(
    root: Path, tasks: str, *, queue: str = QUEUE, stalled: str = STALLED, **files: str
) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.
    """
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {"shop/tasks.py": tasks, "shop/queue.py": queue, "shop/stalled.py": stalled}
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    use = FrameworkUse("procrastinate", app="shop/queue.py:app", apps=("shop/queue.py:app",))
    return opened(root, procrastinate, use, every)


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
    "no task": ("handler", edited("shop/tasks.py", "@app.task", "@dict"), "handler.not-registered"),
    "nobody defers it": (
        "handler",
        edited("shop/orders.py", "send_receipt.defer", "print"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited("shop/tasks.py", "(context, order_id, email)", "(context, order_id, email, copy)"),
        "handler.signature-differs",
    ),
    "fewer attempts": (
        "retry",
        edited("shop/tasks.py", "RETRIES = 4", "RETRIES = 3"),
        "retry.max-attempts-differs",
    ),
    "another wait": (
        "retry",
        edited("shop/tasks.py", "exponential_wait=2", "exponential_wait=3"),
        "retry.backoff-differs",
    ),
    "an error that is let out": (
        "retry",
        edited("shop/tasks.py", "(mailer.Unavailable, TimeoutError)", "(mailer.Unavailable,)"),
        "procrastinate.transient-not-retried",
    ),
    "a worker that dies loses the job": (
        "retry",
        {"shop/stalled.py": ""},
        "procrastinate.stalled-never-retried",
    ),
    "no dead letter": (
        "dead-letter",
        edited("shop/tasks.py", "dead_jobs.record(order_id, repr(error))", "pass"),
        "dead-letter.not-written",
    ),
    "silence about retries": (
        "observability",
        edited(
            "shop/tasks.py", 'log.warning("receipt failed order_id=%s, will retry, attempt', 'str("'
        ),
        "observability.retries",
    ),
}
