"""A command that nobody wrote by hand is read in no time, and not taken."""

from __future__ import annotations

import time

import pytest

from skillrun.repo.makefile import make_recipes
from skillrun.repo.shell import changes_files, find_purpose, strip_excuse
from skillrun.skills.job_worker.readings import foreign_jobs

LONG = {
    "a program again and again": "autopep8 " * 20_000,
    "letters of an option": "autopep8 -" + "i" * 9_900 + "!",
    "spaces": "pytest" + " " * 50_000 + "tests",
}


@pytest.mark.parametrize("command", LONG.values(), ids=LONG)
def test_a_long_command_takes_no_time(command: str) -> None:
    begun = time.process_time()
    changes_files(command)
    find_purpose(command)
    strip_excuse(command)
    assert time.process_time() - begun < 1


def test_what_is_too_long_is_no_check() -> None:
    assert find_purpose("pytest " + "tests/a.py " * 2_000) is None
    assert changes_files("x" * 20_000)


def test_what_is_usual_is_read_as_before() -> None:
    assert changes_files("autopep8 -ir .")
    assert not changes_files("autopep8 -r .")
    assert strip_excuse("pytest || true ") == "pytest"
    assert find_purpose("pytest " + "tests/a.py " * 200) == "test"


@pytest.mark.parametrize(
    ("library", "text"),
    [
        ("bullmq", "new Worker " * 5_000),
        ("bullmq", "new Worker(" + " " * 20_000),
        ("sidekiq", "\n" * 20_000),
    ],
)
def test_odd_files_of_other_languages_take_no_time(library: str, text: str) -> None:
    begun = time.process_time()
    assert foreign_jobs._HANDLERS[library].findall(text) == []
    assert time.process_time() - begun < 1


def test_a_worker_over_several_lines_is_found() -> None:
    text = "new Worker<Mail,\n  Sent>(\n  'mail',\n  sendWelcome,\n)"
    assert foreign_jobs._HANDLERS["bullmq"].findall(text) == ["sendWelcome"]


def test_an_empty_makefile_has_no_recipes() -> None:
    assert not list(make_recipes("Makefile", lambda _name: ""))
