"""The job that a scaffold writes for RQ: its names, its form, its retries and callback, and its own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import Combination
from writing import write

TASKS = "shop/tasks.py"
BASE = Combination("rq")


def test_the_handler_its_callback_and_its_publisher_stand_beside_the_other_jobs(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "send_receipt_failed", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert written.run("ruff", "check", "shop", "tests").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", "shop").returncode == 0


def test_waits_are_those_of_the_spec_and_are_drawn_anew_after_a_failure(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "SEND_RECEIPT_WAITS = [2, 4, 8]" in text
    assert "retry=Retry(max=3, interval=SEND_RECEIPT_WAITS)," in text
    assert "random.randint(wait // 2, wait) for wait in SEND_RECEIPT_WAITS" in text


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, Combination("rq", retry=False)).text(TASKS)
    assert "# No retry: Somebody looks at each failure." in text
    assert "Retry" not in text.replace("No retry", "")


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [BASE, Combination("rq", retry=False, message="payload", dead="framework")],
    ids=str,
)
def test_its_own_tests_are_green_and_notice_a_lost_effect(tmp_path: Path, combination: Combination) -> None:
    written = write(tmp_path, combination)
    done = written.run("pytest", "-q", "tests")
    assert done.returncode == 0, done.stdout
    text = written.text(TASKS)
    (written.root / TASKS).write_text(text.replace("mailer.send(", "print("))
    assert written.run("pytest", "-q", "tests").returncode == 1
