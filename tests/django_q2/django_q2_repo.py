"""Real repositories with a Django Q2 job, what skillrun reads in them, and a small shop that every
stage passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import SPEC_PATH, Shop, case_of, edited_file, examine, findings, opened
from receipt_job import SPEC

from skillrun.frameworks.django_q2 import FRAMEWORK as django_q2
from skillrun.repo.uses import FrameworkUse
from skillrun.skills.job_worker.job_case import JobCase

__all__ = ["SPEC", "SPEC_PATH", "build", "examine", "findings", "open_shop"]

MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email="", *, idempotency_key=None):
        connection.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))
        post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    def record(payload, reason):
        connection.execute("INSERT INTO dead_jobs (payload, reason) VALUES (?, ?)", (payload, reason))
    """
CLUSTER = "{'name': 'shop', 'orm': 'default', 'timeout': 60, 'retry': 90, 'max_attempts': 5}"
TASKS = '''
    import logging
    from datetime import timedelta

    from django.utils import timezone
    from django_q.tasks import schedule

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)
    ATTEMPTS = 5


    def send_receipt(order_id, email, attempt=1):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s job_id=%s", order_id, attempt)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except (mailer.Unavailable, TimeoutError) as error:
            if attempt >= ATTEMPTS:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                return
            log.warning("receipt failed order_id=%s, will retry, attempt %s: %r", order_id, attempt, error)
            schedule(
                "shop.tasks.send_receipt", order_id, email, attempt + 1,
                next_run=timezone.now() + timedelta(seconds=min(2 * 2 ** (attempt - 1), 60)),
            )
            return
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            return
        log.info("receipt sent order_id=%s", order_id)
    '''
FILES: dict[str, str] = {
    "requirements.txt": "django\ndjango-q2>=1.7\n",
    "Procfile": "worker: python manage.py qcluster\n",
    "shop/__init__.py": "",
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/schema.sql": (
        """
        CREATE TABLE receipts (order_id INTEGER NOT NULL, email TEXT NOT NULL, UNIQUE (order_id));
        CREATE TABLE dead_jobs (payload TEXT, reason TEXT);
        """
    ),
    "shop/settings.py": (
        """
        Q_CLUSTER = {"name": "shop", "orm": "default", "timeout": 60, "retry": 90, "ack_failures": True}
        """
    ),
    "shop/orders.py": (
        """
        from django_q.tasks import async_task

        def settle(order_id, email):
            async_task("shop.tasks.send_receipt", order_id, email)
        """
    ),
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        from shop import mailer, tasks

        def test_happy(outbox):
            tasks.send_receipt(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail):
            mail.failures = [mailer.Unavailable("down")]
            tasks.send_receipt(7, "a@example.com")
            tasks.send_receipt(7, "a@example.com", 2)
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            tasks.send_receipt(7, "a@example.com")
            assert outbox == []
        """
    ),
}


def open_shop(root: Path, tasks: str, *, cluster: str = CLUSTER, **files: str) -> Shop:
    """A repository whose shop/tasks.py is given; `files` are more modules of the package, e.g.
    `orders="..."`.

    `cluster` is what Q_CLUSTER is, and whatever lines follow it.
    """
    every = {"shop/__init__.py": "", "shop/mailer.py": MAILER, "shop/dead_jobs.py": DEAD}
    every |= {"shop/tasks.py": tasks, "shop/settings.py": f"Q_CLUSTER = {cluster}\n"}
    every |= {f"shop/{name}.py": text for name, text in files.items()}
    use = FrameworkUse(
        "django-q2", app="shop/settings.py:Q_CLUSTER", apps=("shop/settings.py:Q_CLUSTER",)
    )
    return opened(root, django_q2, use, every)


def build(
    root: Path, files: Mapping[str, str] | None = None, spec: Mapping[str, Any] | None = None
) -> JobCase:
    """A case on a real repository: the sample's files and spec, with `files` and parts of the spec
    laid over them.
    """
    return case_of(root, {**FILES, **(files or {})}, {"message": "kwargs", **(spec or {})})


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """The sample's file with `old`, which must be in it, replaced."""
    return edited_file(FILES, path, old, new)


# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "nobody queues it": (
        "handler",
        edited("shop/orders.py", 'async_task("shop.tasks.send_receipt", order_id, email)', "pass"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited(
            "shop/tasks.py", "(order_id, email, attempt=1)", "(order_id, email, copy, attempt=1)"
        ),
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
    "an error that is not run again": (
        "retry",
        edited("shop/tasks.py", "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"),
        "retry.transient-not-retried",
    ),
    "no bound": (
        "retry",
        edited("shop/settings.py", ', "ack_failures": True', ""),
        "django-q2.unbounded-attempts",
    ),
    "retry below timeout": (
        "retry",
        edited("shop/settings.py", '"retry": 90', '"retry": 30'),
        "django-q2.retry-below-timeout",
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
