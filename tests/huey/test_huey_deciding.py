"""A receiver of SIGNAL_ERROR that decides about a retry: what is given up, after which wait, and
who logs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huey_repo import Shop, findings, open_shop

from skillrun.core.verdict import Severity
from skillrun.frameworks.huey import FRAMEWORK as huey
from skillrun.frameworks.interface import Backoff

TASKS = """\
import logging
import random
from huey.signals import SIGNAL_ERROR
from shop import dead_jobs, mailer
from shop.app import huey

log = logging.getLogger(__name__)


@huey.task(retries=3, context=True)
def send_receipt(order_id, task=None):
    mailer.send(order_id)


@huey.signal(SIGNAL_ERROR)
def failed(signal, task, error):
    if not isinstance(task, send_receipt.task_class):
        return
    if not isinstance(error, (mailer.Unavailable, TimeoutError)):
        task.retries = 0
    if task.retries:
        wait = min(60, 2 * 3 ** (3 - task.retries))
        task.retry_delay = random.uniform(wait / 2, wait)
        log.warning("will retry %s %r", task.args, error)
        return
    dead_jobs.record(task.args)
"""
SPEC: dict[str, Any] = {
    "failures": {"transient": ["shop.mailer:Unavailable"], "permanent": ["shop.mailer:BadAddress"]}
}


def shop(folder: Path, *edits: tuple[str, str]) -> Shop:
    text = TASKS
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return open_shop(folder / "r", text)


def severities(found: Shop, rule: str) -> list[Severity]:
    return [finding.severity for finding in findings(found, rule, SPEC)]


def test_what_is_not_spared_is_not_retried(tmp_path: Path) -> None:
    assert severities(shop(tmp_path), "permanent-retried") == []
    assert severities(shop(tmp_path), "transient-given-up") == []


GUARD = "    if not isinstance(task, send_receipt.task_class):\n        return\n"
SPARED = "if not isinstance(error, (mailer.Unavailable, TimeoutError)):"


@pytest.mark.parametrize(
    ("edit", "severity"),
    [
        ((SPARED, "if not isinstance(error, Exception):"), Severity.ERROR),
        (
            (SPARED, "if not isinstance(error, (mailer.Unavailable, mailer.BadAddress)):"),
            Severity.ERROR,
        ),
        (("        task.retries = 0\n", "        pass\n"), Severity.ERROR),
        (("@huey.signal(SIGNAL_ERROR)\n", ""), Severity.ERROR),
        ((GUARD, ""), Severity.NOTE),
        (("send_receipt.task_class", "sweep.task_class"), Severity.NOTE),
        ((SPARED, "if isinstance(error, mailer.BadAddress):"), Severity.NOTE),
        (("task.retries = 0", "task.retries = 1"), Severity.NOTE),
    ],
)
def test_what_is_retried_or_cannot_be_told(
    tmp_path: Path, edit: tuple[str, str], severity: Severity
) -> None:
    assert severities(shop(tmp_path, edit), "permanent-retried") == [severity]


def test_a_transient_error_that_is_not_spared(tmp_path: Path) -> None:
    found = shop(tmp_path, ("(mailer.Unavailable, TimeoutError)", "TimeoutError"))
    assert severities(found, "transient-given-up") == [Severity.ERROR]


def test_the_wait_is_read(tmp_path: Path) -> None:
    policy = shop(tmp_path).policy
    assert policy.backoff == Backoff("exponential", 2.0, 3.0, 60.0, jitter=True)
    assert not policy.unknown


@pytest.mark.parametrize(
    "edit",
    [
        ("min(60, 2 * 3 ** (3 - task.retries))", "guess(task)"),
        (GUARD, ""),
        ("        log.warning", "        task.retry_delay += 1\n        log.warning"),
    ],
)
def test_a_wait_that_cannot_be_read_is_unknown(tmp_path: Path, edit: tuple[str, str]) -> None:
    policy = shop(tmp_path, edit).policy
    assert set(policy.unknown) == {"backoff"}


def test_who_hears_of_a_retry(tmp_path: Path) -> None:
    found = shop(tmp_path)
    hooks = huey.find_hooks(found.project, found.use, found.handler)
    assert {event: hook.name for event, hook in hooks.items()} == {
        "failed": "failed",
        "retried": "failed",
    }


def test_a_receiver_that_logs_nothing_of_retries(tmp_path: Path) -> None:
    found = shop(tmp_path, ('        log.warning("will retry %s %r", task.args, error)\n', ""))
    assert "retried" not in huey.find_hooks(found.project, found.use, found.handler)


OTHER = """

@huey.task()
def sweep(): ...


@huey.signal(SIGNAL_ERROR)
def earlier(signal, task, error):
    if isinstance(task, sweep.task_class):
        log.error("no sweep: %r", error)


@huey.signal(SIGNAL_ERROR)
def failed("""


def test_of_several_receivers_the_handlers_own(tmp_path: Path) -> None:
    found = shop(tmp_path, ("\n\n@huey.signal(SIGNAL_ERROR)\ndef failed(", OTHER))
    assert huey.find_hooks(found.project, found.use, found.handler)["failed"].name == "failed"
