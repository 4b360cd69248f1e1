"""What the stages say of Huey alone; see `stages/test_libraries.py` for the rest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import huey_repo
import pytest

TASKS = huey_repo.FILES["shop/tasks.py"]
ORDERS = huey_repo.FILES["shop/orders.py"]


def stopping(
    root: Path, stage: str, files: dict[str, str] | None = None, spec: dict[str, Any] | None = None
) -> set[str]:
    """The rules of the findings that stop a stage."""
    result = huey_repo.examine(stage, huey_repo.build(root, files, spec))
    return {f.rule for f in result.findings if f.severity in ("blocker", "error")}


def with_tasks(old: str, new: str) -> dict[str, str]:
    assert old in TASKS
    return {"shop/tasks.py": TASKS.replace(old, new)}


def test_an_endless_retry_stops(tmp_path: Path) -> None:
    files = with_tasks("                raise\n", "                raise RetryTask(delay=60)\n")
    files["shop/tasks.py"] = files["shop/tasks.py"].replace(
        "import CancelExecution", "import CancelExecution, RetryTask"
    )
    assert {"huey.retry-unbounded", "retry.max-attempts-differs"} <= stopping(
        tmp_path / "repo", "retry", files
    )


@pytest.mark.real
def test_a_task_argument_is_no_field_of_the_payload(tmp_path: Path) -> None:
    """context=True passes it; without it the handler would need a field `task`."""
    needed = with_tasks("task=None", "task")
    assert stopping(tmp_path / "with", "handler", needed) == set()
    needed = {"shop/tasks.py": needed["shop/tasks.py"].replace(", context=True", "")}
    assert "handler.signature-differs" in stopping(tmp_path / "without", "handler", needed)


def test_a_cap_that_the_waits_reach_must_be_there(tmp_path: Path) -> None:
    """Huey caps nothing: 2, 4, 8 and 16 s never reach a cap of 60 s, and a cap of 10 s is not
    kept.
    """
    backoff = {"kind": "exponential", "base": "2s", "factor": 2, "cap": "10s", "jitter": False}
    capped = {"retry": {"max_attempts": 5, "backoff": backoff}}
    assert stopping(tmp_path / "repo", "retry", spec=capped) == {"retry.backoff-differs"}


ENQUEUED = """
    from unittest import mock

    from shop import mailer, orders, tasks

    def test_happy(outbox):
        {patch}
        orders.settle(7, "a@example.com")
        assert outbox
    """


@pytest.mark.parametrize(
    ("patch", "reached"),
    [
        ("pass", True),
        ("mock.patch('shop.mailer.send').start()", True),
        ("mock.patch('shop.orders.send_receipt').start()", False),
        ("mock.patch.object(orders, 'send_receipt').start()", False),
    ],
)
def test_a_test_that_replaces_the_task_does_not_reach_it(
    tmp_path: Path, patch: str, reached: bool
) -> None:
    files = {"tests/test_tasks.py": ENQUEUED.format(patch=patch)}
    assert ("tests.no-happy" not in stopping(tmp_path / "repo", "tests", files)) == reached


LAST = (
    "if {test}:\n                    dead_jobs.record(order_id, repr(error))\n                   "
    " raise\n"
)


@pytest.mark.parametrize(
    ("test", "answered"),
    [
        ("task.retries == 0", False),
        ("not task.retries", False),
        ("task.retries < 1", False),
        ("task.retries > 9", True),
    ],
)
def test_a_failure_that_only_earlier_attempts_log_is_no_answer(
    tmp_path: Path, test: str, answered: bool
) -> None:
    """task.retries counts down: what stands below the branch of the last attempt is not logged by
    it.
    """
    start = TASKS.index("                log.warning(")
    end = TASKS.index("            except mailer.BadAddress")
    logged = (
        '                log.warning("receipt failed, will retry order_id=%s: %r", order_id,'
        " error)\n"
    )
    logged += "                raise\n"
    text = TASKS[:start] + "                " + LAST.format(test=test) + logged + TASKS[end:]
    text = text.replace(
        '                log.error("receipt failed order_id=%s: %r", order_id, error)\n', ""
    )
    case = huey_repo.build(tmp_path / "repo", {"shop/tasks.py": text})
    found = {f.rule for f in huey_repo.examine("observability", case).findings}
    assert ("observability.failed" not in found) == answered


@pytest.mark.real
def test_a_periodic_task_has_a_scheduler(tmp_path: Path) -> None:
    text = TASKS.replace("@huey.task(", "@huey.periodic_task(crontab(minute='0'), ")
    text = text.replace("import CancelExecution", "import CancelExecution, crontab").replace(
        "order_id, email, task", "task"
    )
    spec = {"trigger": {"type": "cron", "schedule": "0 * * * *", "timezone": "UTC"}}
    files = {"shop/tasks.py": text}
    assert "contract.no-scheduler" not in stopping(tmp_path / "a", "contract", files, spec)
    assert "handler.not-scheduled" not in stopping(tmp_path / "b", "handler", files, spec)
    # Catch_up publishes it.
    assert "handler.not-scheduled" not in stopping(tmp_path / "c", "handler", None, spec)
    once = re.sub(r".*periodic_task.*\n", "", ORDERS)
    assert "handler.not-scheduled" in stopping(
        tmp_path / "d", "handler", {"shop/orders.py": once}, spec
    )


@pytest.mark.real
def test_another_task_that_is_called_runs_elsewhere(tmp_path: Path) -> None:
    """What it does is no effect of this handler; that it is published is one, and is declared like
    any other.
    """
    other = (
        "import requests\n\nfrom shop.app import huey\n\n@huey.task()\ndef track(o):\n   "
        " requests.post('x')\n"
    )
    imported = "from shop.app import huey\n        from shop.tracking import track\n"
    text = TASKS.replace("from shop.app import huey\n", imported)
    text = text.replace("            try:\n", "            track(order_id)\n            try:\n")
    case = huey_repo.build(tmp_path / "repo", {"shop/tasks.py": text, "shop/tracking.py": other})
    found = [
        f
        for f in huey_repo.examine("handler", case).findings
        if f.rule == "handler.undeclared-effect"
    ]
    assert [(f.path, f.severity, "publish" in f.message) for f in found] == [
        ("shop/tasks.py", "error", True)
    ]
