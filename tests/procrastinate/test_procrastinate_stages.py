"""The stages on a Procrastinate task: a small shop that passes, and the same shop broken in one way
at a time.
"""

from __future__ import annotations

from pathlib import Path

import procrastinate_repo
import pytest

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
    edits = procrastinate_repo.edited(
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
