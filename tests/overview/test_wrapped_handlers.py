"""What is delivered comes to the application's own decorators first, and not to the function below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.marking import mark_handler
from skillrun.skills.job_worker.drafting.watching import draft_observed, plan_watching
from skillrun.skills.job_worker.overview.handlers import find_job

HOUSE = """
    import functools
    import sqlite3
    from dataclasses import dataclass


    @dataclass
    class Message:
        order_id: int
        day: str


    def job(kind):
        def wrap(function):
            @functools.wraps(function)
            def run(**message):
                return function(kind(**message))

            return run

        return wrap
    """
TASKS = """
    from celery import shared_task
    from shop.house import Message, job


    {decorators}
    def send(message):
        assert isinstance(message, Message)
    """
FILES = {
    "shop/__init__.py": "",
    "shop/house.py": HOUSE,
    "tests/test_send.py": """
        from shop.tasks import send


        def test_sends():
            send(order_id=7, day="2026-03-01")
        """,
}


def plan(root: Path, decorators: str) -> Any:
    files = {**FILES, "shop/tasks.py": TASKS.replace("{decorators}", decorators)}
    reader = open_reader(helpers.build_tree(root, files))
    job = find_job(reader.jobs, "send")
    assert job is not None
    return reader, job, plan_watching(reader, job)


@pytest.mark.parametrize(
    ("decorators", "count"),
    [
        ("@shared_task", 0),
        ("@shared_task\n    @job(Message)", 1),
        ("@shared_task(name='send')\n    @job(Message)\n    @job(Message)", 2),
    ],
)
def test_the_librarys_decorator_is_none_of_the_jobs(
    decorators: str, count: int, home: Path, tmp_path: Path
) -> None:
    _, _, watched = plan(tmp_path / "shop", decorators)
    assert watched.wrappers == count


def test_the_mark_stands_above_what_is_a_part_of_the_job() -> None:
    text = "@task\n@job(\n    Message,\n)\n@other\ndef f(x):\n    return x\n"
    for wrappers, line in ((0, 5), (1, 4), (2, 1)):
        lines = mark_handler(text, "f", wrappers).splitlines()
        assert ".delivery" in lines[line]


@pytest.mark.real
def test_a_message_that_the_house_takes_apart_is_seen_as_it_is_sent(
    home: Path, tmp_path: Path
) -> None:
    """The function below is given an object, which no JSON says."""
    reader, job, watched = plan(tmp_path / "shop", "@shared_task\n    @job(Message)")
    draft, _ = draft_observed(reader, job, watched)
    assert draft.values["payload"]["examples"] == [{"order_id": 7, "day": "2026-03-01"}]
    assert draft.values["message"] == "kwargs"
