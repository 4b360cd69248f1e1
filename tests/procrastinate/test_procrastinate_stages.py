"""The stages on a Procrastinate task: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import procrastinate_repo
import pytest
from framework_shop import CHEAP, check_breaks, check_passes, edited_file


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path: Path, stage: str) -> None:
    check_passes(stage, procrastinate_repo.build(tmp_path / "repo"))


def edited(path: str, old: str, new: str) -> dict[str, str]:
    return edited_file(procrastinate_repo.FILES, path, old, new)


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


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_fails_where_it_should(tmp_path: Path, name: str) -> None:
    stage, files, rule = BROKEN[name]
    check_breaks(stage, procrastinate_repo.build(tmp_path / "repo", files), rule)


OTHER = {"shop/thanks.py": "from shop.queue import app\n\n@app.task\ndef thank(order_id): ...\n"}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("thank.defer(order_id=order_id)", True),
        ("thank.configure(lock='x').defer(order_id=order_id)", True),
        ("thank.batch_defer({'order_id': order_id})", True),
        ("orders.defer('email')", False),  # of a queryset
    ],
)
def test_a_handler_that_defers_another_job_has_an_effect(
    tmp_path: Path, call: str, told: bool
) -> None:
    edits = edited(
        "shop/tasks.py", 'log.info("receipt sent', f'{call}\n        log.info("receipt sent'
    )
    text = edits["shop/tasks.py"].replace("import dead_jobs,", "import dead_jobs, orders,")
    files = {
        "shop/tasks.py": text.replace(
            "from shop.queue", "from shop.thanks import thank\n    from shop.queue"
        )
    }
    result = procrastinate_repo.examine(
        "handler", procrastinate_repo.build(tmp_path / "repo", files | OTHER)
    )
    assert ("handler.undeclared-effect" in {f.rule for f in result.findings}) == told


def test_failed_jobs_are_dead_letters_of_its_own(tmp_path: Path) -> None:
    letter = {"dead_letter": {"kind": "framework"}}
    result = procrastinate_repo.examine(
        "dead-letter", procrastinate_repo.build(tmp_path / "repo", spec=letter)
    )
    assert result.status == "passed"
