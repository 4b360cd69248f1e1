"""Real repositories with a task of Django's, what skillrun reads in them, and a small shop that
every stage passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework_shop import SPEC_PATH, Shop, case_of, edited_file, examine, findings, opened
from receipt_job import SPEC

from skillrun.frameworks.django_tasks import FRAMEWORK as django_tasks
from skillrun.repo.uses import FrameworkUse, Place
from skillrun.skills.job_worker.job_case import JobCase

__all__ = ["SPEC", "SPEC_PATH", "build", "examine", "findings", "open_shop"]

MAILER = """
    class Unavailable(Exception): ...
    class BadAddress(Exception): ...

    def send(order_id, email="", *, idempotency_key=None):
        Receipt.objects.get_or_create(order_id=order_id)
        post(email, headers={"Idempotency-Key": idempotency_key})
    """
DEAD = """
    from shop.models import DeadJob

    def record(payload, reason):
        DeadJob.objects.create(payload=payload, reason=reason)
    """
SETTINGS = """
    INSTALLED_APPS = ["django_tasks", "django_tasks_db", "shop"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    """
MODELS = """
    from django.db import models

    class Order(models.Model):
        email = models.TextField()

    class Receipt(models.Model):
        order_id = models.IntegerField(unique=True)

        class Meta:
            db_table = "receipts"

    class DeadJob(models.Model):
        payload = models.TextField()
        reason = models.TextField()

        class Meta:
            db_table = "dead_jobs"
    """
TASKS = '''
    import logging
    from datetime import timedelta

    from django.utils import timezone
    from django_tasks import task

    from shop import dead_jobs, mailer

    log = logging.getLogger(__name__)
    ATTEMPTS = 5


    @task()
    def send_receipt(order_id, email, attempt=1):
        """Emails one receipt.

        A dead letter is a row in dead_jobs; mend the cause, then settle the order again to run it once more.
        """
        log.info("receipt started order_id=%s attempt=%s", order_id, attempt)
        try:
            mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        except (mailer.Unavailable, TimeoutError) as error:
            if attempt >= ATTEMPTS:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                raise
            log.warning("receipt failed order_id=%s, will retry, attempt %s: %r", order_id, attempt, error)
            wait = timedelta(seconds=min(2 * 2 ** (attempt - 1), 60))
            send_receipt.using(run_after=timezone.now() + wait).enqueue(order_id, email, attempt=attempt + 1)
            return
        except mailer.BadAddress as error:
            log.error("receipt failed order_id=%s: %r", order_id, error)
            dead_jobs.record(order_id, repr(error))
            raise
        log.info("receipt sent order_id=%s", order_id)
    '''
FILES: dict[str, str] = {
    "requirements.txt": "django>=5.2\ndjango-tasks-db[compat]>=0.12\n",
    "Procfile": "worker: python manage.py db_worker\n",
    "manage.py": 'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
    "shop/__init__.py": "",
    "shop/settings.py": SETTINGS,
    "shop/models.py": MODELS,
    "shop/mailer.py": MAILER,
    "shop/dead_jobs.py": DEAD,
    "shop/orders.py": (
        """
        from django.db import transaction

        from shop.tasks import send_receipt

        @transaction.atomic
        def settle(order_id, email):
            send_receipt.enqueue(order_id, email)
        """
    ),
    "shop/tasks.py": TASKS,
    "tests/test_tasks.py": (
        """
        import pytest
        from shop import mailer, tasks

        def test_happy(outbox):
            tasks.send_receipt.call(7, "a@example.com")
            assert outbox == ["receipt-7"]

        def test_retryable(outbox, mail, queue):
            mail.failures = [mailer.Unavailable("down")]
            tasks.send_receipt.call(7, "a@example.com")
            tasks.send_receipt.call(7, "a@example.com", attempt=2)
            assert outbox == ["receipt-7"]

        def test_terminal(outbox, mail):
            mail.failures = [mailer.BadAddress("bad")]
            with pytest.raises(mailer.BadAddress):
                tasks.send_receipt.call(7, "a@example.com")
            assert outbox == []
        """
    ),
}


def open_shop(
    root: Path,
    tasks: str,
    *,
    worker: str = "",
    files: Mapping[str, str] | None = None,
    **modules: str,
) -> Shop:
    """A repository whose shop/tasks.py is given; `modules` are more of its package, `worker` is a
    command line.
    """
    every = {
        "shop/__init__.py": "",
        "shop/mailer.py": MAILER,
        "shop/dead_jobs.py": DEAD,
        "shop/models.py": MODELS,
    }
    every |= {"shop/tasks.py": tasks, "shop/settings.py": SETTINGS, **(files or {})}
    every |= {f"shop/{name}.py": text for name, text in modules.items()}
    seen = (Place("Procfile", 1, worker),) if worker else ()
    use = FrameworkUse(
        "django-tasks",
        app="shop/settings.py:TASKS",
        apps=("shop/settings.py:TASKS",),
        evidence=seen,
    )
    return opened(root, django_tasks, use, every)


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
    "no task": ("handler", edited("shop/tasks.py", "@task()\n", "\n"), "handler.not-registered"),
    "nobody enqueues it": (
        "handler",
        edited("shop/orders.py", "send_receipt.enqueue(order_id, email)", "pass"),
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
    "an error that is let out": (
        "retry",
        edited("shop/tasks.py", "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"),
        "django-tasks.no-retry",
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
# True of every such task: nobody looks for what stays RUNNING.
ALLOWED = {"django-tasks.lost-on-kill"}
