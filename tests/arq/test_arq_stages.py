"""The stages on an arq handler: a small shop that passes, and the same shop broken in one way at a
time.
"""

from __future__ import annotations

from pathlib import Path

import arq_repo
import pytest
from framework_shop import CHEAP, check_breaks, check_passes, edited_file

TASKS, WORKER, ORDERS = (
    arq_repo.FILES[f"shop/{name}.py"] for name in ("tasks", "worker", "orders")
)


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path: Path, stage: str) -> None:
    check_passes(stage, arq_repo.build(tmp_path / "repo"))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    return edited_file(arq_repo.FILES, path, old, new)


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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    check_breaks(stage, arq_repo.build(tmp_path / "repo", files), rule)
