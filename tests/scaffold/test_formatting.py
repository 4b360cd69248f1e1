"""The repository's formatters run with consent alone; what they do beyond their files is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skillrun.runner.case import no_consent
from skillrun.skills.job_worker.scaffold.manner.formatting import format_files
from skillrun.validations.consent import CommandPlan

UPPER = '#!/bin/sh\nfor name; do tr a-z A-Z < "$name" > tmp && mv tmp "$name"; done\n'


@pytest.fixture
def root(make_repo: Callable[..., Path]) -> Path:
    found = make_repo(
        {"upper.sh": UPPER.encode(), "a b.py": "a = 1\n", "c.py": "c = 1\n", "pyproject.toml": ""}
    )
    (found / "a b.py").write_text("b = 1\n")
    return found


def yes(plan: CommandPlan) -> bool:
    return True


def test_each_command_gets_the_names(root: Path) -> None:
    assert format_files(root, ["a b.py"], ["sh upper.sh"], yes) == ()
    assert (root / "a b.py").read_text() == "B = 1\n"
    assert (root / "c.py").read_text() == "c = 1\n"


def test_without_consent_nothing_runs(root: Path) -> None:
    (said,) = format_files(root, ["a b.py"], ["sh upper.sh", "true"], no_consent)
    assert said == "not formatted, nobody has allowed it yet: sh upper.sh; true"
    assert (root / "a b.py").read_text() == "b = 1\n"


def test_consent_is_asked_for_the_commands(root: Path) -> None:
    asked: list[CommandPlan] = []

    def ask(plan: CommandPlan) -> bool:
        asked.append(plan)
        return True

    format_files(root, ["c.py"], ["true"], ask)
    assert [plan.commands for plan in asked] == [("true",)]


def test_one_that_fails_is_a_note(root: Path) -> None:
    said = format_files(
        root, ["c.py"], ["echo no such style >&2; false", "sh upper.sh", "not-there-at-all"], yes
    )
    assert said[0] == "echo no such style >&2; false: exit 1: no such style"
    assert said[1].startswith("not-there-at-all: exit 127")
    assert (root / "c.py").read_text() == "C = 1\n"


def test_what_it_changes_beyond_is_named(root: Path) -> None:
    said = format_files(root, ["c.py"], ["touch left.txt; echo more >> upper.sh; true"], yes)
    assert said == ("a formatter changed more than what was written: left.txt, upper.sh",)


def test_nothing_to_do(root: Path) -> None:
    assert format_files(root, [], ["false"], yes) == format_files(root, ["c.py"], [], yes) == ()
