"""A job that publishes itself again in parts, with its fields by position, as its senders do."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import helpers
import pytest
from proof import histories

from skillrun.cli.commands.jobs import open_reader
from skillrun.probe.driver import Probe
from skillrun.proof.exploring.queue import Queue
from skillrun.proof.exploring.run import Run
from skillrun.proof.families.errors import last_chance
from skillrun.proof.schedule import parse_schedule
from skillrun.skills.job_worker.drafting.draft import draft_spec
from skillrun.skills.job_worker.overview.handlers import find_job

MAILER = "def send(to, lang):\n    raise OSError('no network here')\n"
# Each letter that fails is a job of its own from then on. Were the fields of the first message
# given by name, the retry would give them twice.
TASKS = """
    from celery import Celery

    from news import mailer

    app = Celery("news", broker="memory://")


    @app.task(max_retries=3)
    def send_letters(readers, lang="en"):
        for reader in readers:
            try:
                mailer.send(reader, lang)
            except OSError as error:
                send_letters.retry([[reader], lang], {}, exc=error, countdown=5, throw=False)


    def publish(readers):
        send_letters.delay(readers, "en")
    """
TESTS = """
    from unittest import mock

    from news import tasks


    def test_sends():
        with mock.patch("news.mailer.send", return_value=None) as send:
            tasks.send_letters(["a", "b", "c", "d"], lang="en")
        assert send.call_count == 4
    """
PUBLISHES: histories.Told = ("published", {"to_handler": True, "delay": 1.0, "label": "job"})


def news(root: Path, tasks: str = TASKS) -> Path:
    files = {"news/__init__.py": "", "news/mailer.py": MAILER, "news/tasks.py": tasks}
    files["tests/test_news.py"] = TESTS
    return helpers.build_tree(root, {name: textwrap.dedent(files[name]) for name in files})


def draft_style(root: Path) -> str:
    reader = open_reader(root)
    job = find_job(reader.jobs, "send_letters")
    assert job is not None
    style: str = draft_spec(reader, job).values["message"]
    return style


@pytest.mark.real
def test_fields_are_given_as_the_senders_give_them(home: Path, tmp_path: Path) -> None:
    assert draft_style(news(tmp_path / "news")) == "args"
    named = TASKS.replace('delay(readers, "en")', 'delay(readers=readers, lang="en")')
    assert draft_style(news(tmp_path / "named", named)) == "kwargs"
    mixed = TASKS.replace('delay(readers, "en")', 'delay(readers, lang="en")')
    assert draft_style(news(tmp_path / "mixed", mixed)) == "kwargs"


def split(payload: dict[str, Any], function: Any, fields: list[str]) -> Any:
    settings = {"message": "args", "fields": fields}
    return Probe.make_arguments(SimpleNamespace(settings=settings), payload, function)  # type: ignore[arg-type]


def test_fields_by_position_stand_in_the_order_of_the_signature() -> None:
    def handler(task: Any, one: int, two: int = 2, *, three: int = 3) -> None: ...

    fields = ["three", "two", "one"]
    assert split({"three": 3, "two": 2, "one": 1}, handler, fields) == ([1, 2], {"three": 3})
    # A poison message without its first field.
    assert split({"two": 2, "three": 3}, handler, fields) == ([], {"two": 2, "three": 3})


def test_each_part_of_a_job_may_use_up_all_attempts() -> None:
    queue: Any = SimpleNamespace(limit=14)
    schedule = parse_schedule("raise=app.mail:Away@before:email#*/*")
    assert Queue._limit_deliveries(queue, Run(schedule)) == 14
    assert Queue._limit_deliveries(queue, Run(schedule, widest=3)) == 28


def test_the_last_attempt_of_one_part_is_no_last_chance_of_the_job() -> None:
    every = "raise=app.mail:Away@before:email#*/*"
    met = histories.fault("raise", "before:email#1")
    failing = [met, PUBLISHES]
    assert len(list(last_chance([histories.history(every, failing, [met])]))) == 1
    divided = [met, PUBLISHES, PUBLISHES]
    assert list(last_chance([histories.history(every, divided, [met], [met])])) == []


@pytest.mark.real
def test_a_job_that_divides_itself_is_bounded_by_the_attempts_of_its_parts(tmp_path: Path) -> None:
    root = news(tmp_path / "news")
    done = helpers.run_cli("prove", "send_letters", "--trust", "--json", cwd=root)
    assert json.loads(done.stdout)["verdict"] == "proved", done.stdout
