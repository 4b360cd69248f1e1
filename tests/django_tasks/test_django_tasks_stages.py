"""The stages on a task of Django's: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import django_tasks_repo
import pytest

CHEAP = (
    "identify",
    "contract",
    "idempotency",
    "handler",
    "retry",
    "dead-letter",
    "observability",
    "tests",
)
# True of every such task: nobody looks for what stays RUNNING.
ALLOWED = {"django-tasks.lost-on-kill"}


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path: Path, stage: str) -> None:
    result = django_tasks_repo.examine(stage, django_tasks_repo.build(tmp_path / "repo"))
    assert [f for f in result.findings if f.severity != "note" and f.rule not in ALLOWED] == []
    assert result.status in (("passed", "pending") if stage == "tests" else ("passed",))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    text = django_tasks_repo.FILES[path]
    assert old in text
    return {path: text.replace(old, new)}


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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    result = django_tasks_repo.examine(stage, django_tasks_repo.build(tmp_path / "repo", files))
    assert rule in {f.rule for f in result.findings if f.severity in ("blocker", "error")}


def test_failed_rows_may_be_the_dead_letters(tmp_path: Path) -> None:
    case = django_tasks_repo.build(tmp_path / "repo", spec={"dead_letter": {"kind": "framework"}})
    assert django_tasks_repo.examine("dead-letter", case).status == "passed"
