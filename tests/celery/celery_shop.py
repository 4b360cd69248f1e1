"""The small shop on Celery of `cases.py`, and the ways to break it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cases import FILES
from framework_shop import case_of, edited_file

from skillrun.skills.job_worker.job_case import JobCase

RETRIED = """\
                try:
                    raise self.retry(exc=error, countdown=min(2 * 2**self.request.retries, 60))
                except MaxRetriesExceededError:
                    dead_jobs.record(order_id, repr(error))
                    raise
"""
BURIED = """\
                dead_jobs.record(order_id, repr(error))
                raise
            log"""


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
    "nobody sends it": (
        "handler",
        edited("shop/orders.py", "send_receipt.delay(order_id=order_id, email=email)", "pass"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited("shop/tasks.py", "(self, order_id, email)", "(self, order_id, email, copy)"),
        "handler.signature-differs",
    ),
    "no task": (
        "handler",
        edited("shop/tasks.py", "@app.task(bind=True", "@print(bind=True"),
        "handler.not-registered",
    ),
    "a permanent error is retried": (
        "retry",
        edited(
            "shop/tasks.py",
            "except (mailer.Unavailable, TimeoutError)",
            "except (mailer.Unavailable, mailer.BadAddress, TimeoutError)",
        ),
        "celery.permanent-retried",
    ),
    "swallowed": (
        "retry",
        edited("shop/tasks.py", RETRIED, "                return\n"),
        "celery.swallowed-exception",
    ),
    "no dead letter": (
        "dead-letter",
        edited("shop/tasks.py", BURIED, "                return\n            log"),
        "celery.permanent-not-recorded",
    ),
    "says nothing": (
        "observability",
        edited("shop/tasks.py", 'log.info("receipt sent', 'print("'),
        "observability.succeeded",
    ),
    "no terminal test": (
        "tests",
        edited("tests/test_tasks.py", "BadAddress", "KeyError"),
        "tests.no-terminal",
    ),
}
