"""The job that a scaffold writes for Django Q2: its form, what it leaves to the library, and its own tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from samples import Combination
from writing import Written, write

TASKS, TESTS = "shop/tasks.py", "shop/tests/test_send_receipt.py"
BASE = Combination("django_q2", store="django")


def test_the_handler_and_its_publisher_stand_beside_the_other_jobs(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert_clean(written)


def assert_clean(written: Written) -> None:
    assert written.run("ruff", "check", "shop").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", "shop").returncode == 0


def test_waits_and_attempts_are_those_of_the_spec(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "SEND_RECEIPT_ATTEMPTS = 4\n" in text
    assert "        if attempt >= SEND_RECEIPT_ATTEMPTS:\n" in text
    assert "        wait = min(60, 2 * 2 ** (attempt - 1))\n" in text
    assert "next_run=timezone.now() + timedelta(seconds=random.uniform(wait / 2, wait))," in text


def test_every_message_leaves_retries_to_the_handler(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert text.count("ack_failure=True,") == text.count("async_task(") == 1
    assert text.count('q_options={"ack_failure": True},') == text.count(" schedule(") == 1


def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, replace(BASE, retry=False)).text(TASKS)
    assert "    except Exception as error:  # Somebody looks at each failure\n" in text
    assert "schedule" not in text and "attempt: int" not in text


@pytest.mark.parametrize(("dead", "raises"), [("table", False), ("framework", True), ("none", True)])
def test_what_no_table_keeps_is_a_failed_task(tmp_path: Path, dead: str, raises: bool) -> None:
    text = write(tmp_path, replace(BASE, dead=dead)).text(TASKS)
    assert (text.count("\n        raise\n") == 1) is raises
