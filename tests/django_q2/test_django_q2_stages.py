"""The stages on a Django Q2 handler: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import django_q2_repo
import pytest
from framework_shop import CHEAP, check_breaks, check_passes, edited_file


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path: Path, stage: str) -> None:
    check_passes(stage, django_q2_repo.build(tmp_path / "repo"))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    return edited_file(django_q2_repo.FILES, path, old, new)


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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    check_breaks(stage, django_q2_repo.build(tmp_path / "repo", files), rule)


def test_django_q2_s_own_failures_are_a_dead_letter(tmp_path: Path) -> None:
    case = django_q2_repo.build(tmp_path / "repo", spec={"dead_letter": {"kind": "framework"}})
    assert django_q2_repo.examine("dead-letter", case).status == "passed"
