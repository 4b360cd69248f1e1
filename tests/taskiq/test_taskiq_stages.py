"""The stages on a taskiq handler: a small shop that passes, and the same shop broken in one way at
a time.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import taskiq_repo
from framework_shop import CHEAP, check_breaks, check_passes, edited_file


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path: Path, stage: str) -> None:
    check_passes(stage, taskiq_repo.build(tmp_path / "repo"))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    return edited_file(taskiq_repo.FILES, path, old, new)


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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    check_breaks(stage, taskiq_repo.build(tmp_path / "repo", files), rule)
