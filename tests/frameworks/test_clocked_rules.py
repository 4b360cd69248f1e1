"""The rules about schedules and locks over every library that has its own way to write them: what
they say follows from the schedule, not from the library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from framework_shop import findings, opened

from skillrun.core.verdict import Severity
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.repo.uses import FrameworkUse

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
READ = "import os\nNIGHT = {'hour': '3'}\n"


@dataclass(frozen=True)
class Library:
    """How a job is written that a clock starts: `{when}` is where its crontab stands, `{limit}`
    an option of the job, `{body}` what it does.
    """

    app: str
    tasks: str
    limit: str
    names: Mapping[str, str]  # field of cron -> the library's word
    task: str  # the same job, which nothing starts by a clock
    growing: str
    constant: str


LIBRARIES = {
    "celery": Library(
        app="from celery import Celery\napp = Celery('shop')\n",
        tasks=(
            "from celery.schedules import crontab\nfrom shop.app import app\n"
            "app.conf.beat_schedule = {{'tick': {{'task': 'shop.tasks.send_receipt',"
            " 'schedule': crontab({when})}}}}\n"
            "@app.task({limit})\ndef send_receipt():\n    {body}\n"
        ),
        limit="time_limit={}",
        names={"day": "day_of_month", "month": "month_of_year"},
        task="from shop.app import app\n@app.task({limit})\ndef send_receipt():\n    {body}\n",
        growing="autoretry_for=(OSError,), max_retries=4, retry_backoff=True",
        constant=(
            "autoretry_for=(OSError,), max_retries=4, default_retry_delay=60, retry_backoff=False"
        ),
    ),
    "huey": Library(
        app="from huey import RedisHuey\nhuey = RedisHuey('shop')\n",
        tasks=(
            "from huey import crontab\nfrom shop.app import huey\n"
            "@huey.periodic_task(crontab({when}), {limit})\ndef send_receipt():\n    {body}\n"
        ),
        limit="timeout={}",
        names={},
        task="from shop.app import huey\n@huey.task({limit})\ndef send_receipt():\n    {body}\n",
        growing="retries=4, retry_delay=60, retry_backoff=2",
        constant="retries=4, retry_delay=60",
    ),
}


def find_in(
    root: Path, name: str, rule: str, tasks: str, spec: Mapping[str, Any] | None = None
) -> list[tuple[Severity, str]]:
    """What a rule says of the job with these tasks."""
    app = {"celery": "shop/app.py:app", "huey": "shop/app.py:huey"}[name]
    files = {
        "shop/__init__.py": "",
        "shop/app.py": LIBRARIES[name].app,
        "shop/tasks.py": READ + tasks,
    }
    shop = opened(root, FRAMEWORKS[name], FrameworkUse(name, app=app, apps=(app,)), files)
    return [(found.severity, found.message) for found in findings(shop, rule, spec)]


def clocked(name: str, when: str, limit: str = "", body: str = "pass") -> str:
    """Tasks that a crontab starts, in the library's words for its fields."""
    library = LIBRARIES[name]
    words = when
    for field, word in library.names.items():
        words = re.sub(rf"\b{field}=", f"{word}=", words)
    bound = library.limit.format(limit) if limit else ""
    return library.tasks.format(when=words, limit=bound, body=body)


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    "when",
    [
        *("hour='3'", "day='1'", "month='5'", "day_of_week='1', hour='*'"),
        # Several of them, and one that only running gives.
        *("hour=[8, 20]", "hour=(8, 20)", "hour={8, 20}", "hour=NIGHT", "hour=os.environ['HOUR']"),
    ],
)
def test_a_crontab_without_its_minute_is_found(tmp_path: Path, name: str, when: str) -> None:
    ((severity, message),) = find_in(tmp_path, name, "crontab-minute", clocked(name, when))
    assert severity is WARNING
    assert "fires every minute" in message


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    "when",
    [
        *("", "hour='*'", "minute='0', hour='3'", "'5', '3'"),
        # What gives the minute, or whether the day is '*', cannot be read.
        *("hour='3', **NIGHT", "**NIGHT", "day=os.environ['DAY']"),
    ],
)
def test_a_crontab_with_its_minute_or_unread_is_not(tmp_path: Path, name: str, when: str) -> None:
    assert find_in(tmp_path, name, "crontab-minute", clocked(name, when)) == []


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    ("when", "limit", "expected"),
    [
        *(("minute='*/5'", "600", WARNING), ("minute='0,30'", "2000", WARNING)),
        *(("minute=[0, 30]", "2000", WARNING), ("hour=[8, 20], minute='0'", "600", None)),
        *(("hour='*/2', minute='0'", "8000", WARNING), ("", "", NOTE)),
        *(("minute='*/5'", "200", None), ("minute='*/5'", "", None)),
        *(("hour='3', minute='0'", "600", None), ("**NIGHT", "600", None)),
    ],
)
def test_ticks_that_overlap_are_found(
    tmp_path: Path, name: str, when: str, limit: str, expected: Severity | None
) -> None:
    found = find_in(tmp_path, name, "period-overlap", clocked(name, when, limit))
    assert [severity for severity, _ in found] == ([expected] if expected else [])


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_lock_in_redis_that_runs_out_before_the_job_is_found(tmp_path: Path, name: str) -> None:
    library = LIBRARIES[name]
    body = "import redis\n    redis.Redis().set('receipt', 1, nx=True, ex={})"
    short, long = body.format(60), body.format(900)
    bound = library.limit.format(600)
    ((severity, message),) = find_in(
        tmp_path / "short", name, "lock-ttl", library.task.format(limit=bound, body=short)
    )
    assert (severity, "60 s (1 min) at most" in message) == (WARNING, True)
    text = library.task.format(limit=bound, body=long)
    assert find_in(tmp_path / "long", name, "lock-ttl", text) == []


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_wait_that_does_not_grow_is_found(tmp_path: Path, name: str) -> None:
    library, rule = LIBRARIES[name], "flat-backoff"
    constant = library.task.format(limit=library.constant, body="pass")
    ((severity, message),) = find_in(tmp_path / "constant", name, rule, constant)
    assert (severity, "every retry waits 60 s" in message) == (WARNING, True)
    growing = library.task.format(limit=library.growing, body="pass")
    assert find_in(tmp_path / "growing", name, rule, growing) == []
    agreed = {"retry": {"max_attempts": 5, "backoff": {"kind": "fixed", "base": "60s"}}}
    assert find_in(tmp_path / "agreed", name, rule, constant, agreed) == []


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    "held",
    [
        "with client.lock('k', 10):\n        mailer.send(1)",
        "lock = client.lock('k', 10)\n    with lock:\n        mailer.send(1)",
        "if not client.set('k', 1, nx=True, ex=10):\n        return\n"
        "    try:\n        mailer.send(1)\n    finally:\n        client.delete('k')",
    ],
)
def test_a_lock_that_each_attempt_lets_go_need_not_outlast_the_retries(
    tmp_path: Path, name: str, held: str
) -> None:
    """The waits between the attempts take 15 seconds together, or more."""
    library = LIBRARIES[name]
    made = "import redis\nclient = redis.Redis()\n"
    text = made + library.task.format(limit=library.growing, body=held)
    assert find_in(tmp_path / "let-go", name, "lock-ttl", text) == []
    kept = made + library.task.format(
        limit=library.growing,
        body="if not client.set('k', 1, nx=True, ex=10):\n        return\n    mailer.send(1)",
    )
    assert len(find_in(tmp_path / "kept", name, "lock-ttl", kept)) == 1
