"""The ways to break the small shop on Huey."""

from __future__ import annotations

from framework_shop import edited_file
from huey_repo import FILES, build

__all__ = ["BROKEN", "FILES", "build"]


def edited(path: str, old: str, new: str) -> dict[str, str]:
    """The sample's file with `old`, which must be in it, replaced."""
    return edited_file(FILES, path, old, new)


# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "not a task": (
        "handler",
        edited("shop/tasks.py", "@huey.task(", "@traced("),
        "handler.not-registered",
    ),
    "nobody enqueues it": (
        "handler",
        edited("shop/orders.py", "            send_receipt(order_id, email)", "            pass"),
        "handler.not-wired",
    ),
    "another parameter": (
        "handler",
        edited(
            "shop/tasks.py", "(order_id, email, task=None)", "(order_id, email, copy, task=None)"
        ),
        "handler.signature-differs",
    ),
    "other retries": (
        "retry",
        edited("shop/tasks.py", "retries=4", "retries=5"),
        "retry.max-attempts-differs",
    ),
    "no delay": (
        "retry",
        edited("shop/tasks.py", "retry_delay=2, ", ""),
        "huey.backoff-without-delay",
    ),
    "another factor": (
        "retry",
        edited("shop/tasks.py", "retry_backoff=2", "retry_backoff=3"),
        "retry.backoff-differs",
    ),
    "permanent retried": (
        "retry",
        edited("shop/tasks.py", "CancelExecution(retry=False)", "ValueError()"),
        "huey.permanent-retried",
    ),
    "no record": (
        "dead-letter",
        edited(
            "shop/tasks.py",
            "                    dead_jobs.record(order_id, repr(error))\n                raise\n",
            "                    pass\n",
        ),
        "dead-letter.not-written",
    ),
    "silent": (
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
