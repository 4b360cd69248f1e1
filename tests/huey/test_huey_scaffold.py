"""The job that a scaffold writes for Huey: its names, its form, its receiver and clock, and its own
tests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from samples import Combination
from writing import assert_clean, assert_noticed, write

from skillrun.frameworks.huey.scaffold import problems
from skillrun.frameworks.pieces import Facts, Symbol

TASKS = "shop/tasks.py"
BASE = Combination("huey")


@pytest.mark.real
def test_the_handler_its_receiver_and_its_publisher_stand_beside_the_other_jobs(
    tmp_path: Path,
) -> None:
    written = write(tmp_path, BASE)
    assert {"sweep", "send_receipt", "send_receipt_failed", "enqueue_send_receipt"} <= {
        *written.names(TASKS)
    }
    assert_clean(written)


@pytest.mark.real
def test_waits_are_those_of_the_spec(tmp_path: Path) -> None:
    text = write(tmp_path, BASE).text(TASKS)
    assert "retries=3,  # 4 attempts in all" in text
    assert "wait = min(60, 2 * 2 ** (3 - task.retries))" in text
    assert "task.retry_delay = random.uniform(wait / 2, wait)" in text
    assert (
        "if not isinstance(error, (mailer.Unavailable, TimeoutError)):\n        task.retries = 0"
        in text
    )


@pytest.mark.real
def test_no_retry_says_why(tmp_path: Path) -> None:
    text = write(tmp_path, replace(BASE, retry=False)).text(TASKS)
    assert "retries=0,  # Somebody looks at each failure" in text
    assert "retry_delay" not in text


@pytest.mark.real
@pytest.mark.parametrize(
    ("combination", "tick"),
    [
        (replace(BASE, trigger="cron"), '@huey.periodic_task(crontab(minute="*/5"))'),
        (replace(BASE, trigger="poller"), '@huey.periodic_task(crontab(minute="*"))'),
    ],
)
def test_a_clock_publishes_what_is_due(tmp_path: Path, combination: Combination, tick: str) -> None:
    written = write(tmp_path, combination)
    assert f"{tick}\ndef tick_send_receipt() -> None:" in written.text(TASKS)
    assert {"due_send_receipt", "tick_send_receipt"} <= {*written.names(TASKS)}
    assert_clean(written)


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        BASE,
        replace(BASE, retry=False),
        replace(BASE, message="payload"),
        replace(BASE, trigger="cron"),
    ],
    ids=str,
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, [(TASKS, *pair) for pair in broken(combination)], "pytest", "-q")


def broken(combination: Combination) -> list[tuple[str, str]]:
    """What no test of the job may let through."""
    found = [
        ("    send_receipt_store.bury(message, repr(error))\n", ""),
        ("        mailer.send(", "        print("),
    ]
    if combination.retry:
        found.append(("        task.retries = 0  # it would fail again\n", "        pass\n"))
    if combination.trigger == "cron":
        found += [
            ("    _settle_send_receipt(message)\n", ""),
            ('        if payload.get("order_id") in waiting:\n            continue\n', ""),
        ]
    return found


def facts_of(**changed: Any) -> Facts:
    """The facts that `problems` asks for."""
    named = {
        "app": Symbol("shop.queue", "huey"),
        "of_library": {"django": False, "unloaded": ""},
        "dead_letter": "table",
        "fields": (),
    }
    named |= {
        "message": "kwargs",
        "trigger": "event",
        "schedule": None,
        "timezone": None,
        "every_s": None,
    }
    made = object.__new__(Facts)
    for name, value in {**named, **changed}.items():
        object.__setattr__(made, name, value)
    return made


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"app": None}, "no Huey object"),
        ({"app": None, "of_library": {"django": True, "unloaded": ""}}, None),
        (
            {"of_library": {"django": False, "unloaded": "the consumer loads another"}},
            "the consumer loads another",
        ),
        ({"dead_letter": "queue"}, "no dead letters of its own"),
        ({"trigger": "cron", "schedule": "0 3 * * *", "timezone": "UTC"}, None),
        ({"trigger": "cron", "schedule": "0 3 L * *"}, "no crontab that means"),
        ({"trigger": "cron", "schedule": "0 3 1 * 1"}, "no crontab that means"),
        (
            {"trigger": "cron", "schedule": "0 3 * * *", "timezone": "Europe/Berlin"},
            "no time zone but UTC",
        ),
        ({"trigger": "poller", "every_s": 300.0}, None),
        ({"trigger": "poller", "every_s": 30.0}, "ticks by the minute"),
    ],
)
def test_what_huey_cannot_do(changed: dict[str, Any], words: str | None) -> None:
    said = list(problems(facts_of(**changed)))
    assert len(said) == (words is not None)
    assert all(words is not None and words in text for text in said)
