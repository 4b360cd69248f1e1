"""A small shop on RQ that every stage passes, and the ways to break it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import case_of, edited_file

from skillrun.skills.job_worker.job_case import JobCase

TASKS = '''
    import logging

    from rq import get_current_job

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)


    def send_receipt(order_id, email):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, get_current_job().id)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)


    def given_up(job, connection, exc_type, exc_value, traceback):
        """RQ calls this after every failed attempt; the last one has no retries left."""
        if job.retries_left:
            log.warning("receipt will retry order_id=%s, %s left: %r", job.args, job.retries_left, exc_value)
            return
        log.error("receipt failed order_id=%s: %r", job.args, exc_value)
        dead_jobs.record(job.args, repr(exc_value))
    '''
ORDERS = """
    from redis import Redis
    from rq import Callback, Queue, Retry

    from shop.tasks import given_up, send_receipt

    queue = Queue("default", connection=Redis(), default_timeout=60)

    def settle(order_id, email):
        again = Retry(max=4, interval=[2, 4, 8, 16])
        queue.enqueue(send_receipt, order_id, email, retry=again, on_failure=Callback(given_up))
    """
FILES: dict[str, str] = {
    "requirements.txt": "rq>=2\n",
    "Procfile": "worker: rq worker --with-scheduler default\n",
    "shop/__init__.py": "",
    "shop/mailer.py": (
        """
        class Unavailable(Exception): ...
        class BadAddress(Exception): ...

        def send(order_id, email, *, idempotency_key):
            db.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))
            post(email, headers={"Idempotency-Key": idempotency_key})
        """
    ),
    "shop/dead_jobs.py": (
        """
        def record(payload, reason):
            db.execute("INSERT INTO dead_jobs (payload, reason) VALUES (?, ?)", (payload, reason))
        """
    ),
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/tasks.py": TASKS,
    "shop/orders.py": ORDERS,
    "tests/test_tasks.py": (
        """
        from rq import SimpleWorker
        from shop import mailer, orders, tasks

        def test_happy(outbox):
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            orders.settle(7, "a@example.com")
            SimpleWorker([orders.queue]).work(burst=True)
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(7, "a@example.com")
            assert outbox == []
        """
    ),
}
ENQUEUE = {"call": "shop.orders:settle"}
# True of every such job: RQ's own hooks are never called for a process that is killed.
ALLOWED = ("rq.killed-not-recorded",)


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    return case_of(root, {**FILES, **(files or {})}, {"enqueue": ENQUEUE, **(spec or {})})


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """The sample's file with `old`, which must be in it, replaced."""
    return edited_file(FILES, path, old, new)


# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "fewer attempts": (
        "retry",
        edited("shop/orders.py", "max=4, interval=[2, 4, 8, 16]", "max=2, interval=[2, 4]"),
        "retry.max-attempts-differs",
    ),
    "other waits": (
        "retry",
        edited("shop/orders.py", "[2, 4, 8, 16]", "[2, 4, 8, 60]"),
        "retry.backoff-differs",
    ),
    "no scheduler": ("retry", edited("Procfile", " --with-scheduler", ""), "rq.no-scheduler"),
    "no retry": (
        "retry",
        edited("shop/orders.py", "retry=again, ", ""),
        "retry.max-attempts-differs",
    ),
    "swallowed": (
        "retry",
        edited("shop/tasks.py", "except mailer.BadAddress as", "except Exception as"),
        "rq.swallowed-exception",
    ),
    "not enqueued": (
        "handler",
        edited("shop/orders.py", "queue.enqueue(send_receipt,", "print(send_receipt,"),
        "handler.not-wired",
    ),
    "wrong arguments": (
        "handler",
        edited("shop/orders.py", "send_receipt, order_id, email,", "send_receipt, order_id,"),
        "rq.wrong-arguments",
    ),
    "no record": (
        "dead-letter",
        edited("shop/orders.py", ", on_failure=Callback(given_up)", ""),
        "dead-letter.not-written",
    ),
    "a record each time": (
        "dead-letter",
        edited("shop/tasks.py", "if job.retries_left:", "if job.meta:"),
        "rq.failure-each-attempt",
    ),
    "no log": (
        "observability",
        edited("shop/tasks.py", 'log.info("receipt sent order_id=%s", order_id)', "pass"),
        "observability.succeeded",
    ),
    "no test": (
        "tests",
        edited("tests/test_tasks.py", "Unavailable", "Slow"),
        "tests.no-retryable",
    ),
}
