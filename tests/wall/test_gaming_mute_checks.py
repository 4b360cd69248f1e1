"""Lint and type checks that a branch makes mute: they pass, since nothing runs any more."""

from __future__ import annotations

import pytest
from looks import found

from skillrun.repo.makefile import make_recipes

MAKE = ".PHONY: test lint\ntest:\n\tpython -m pytest -q\n\nlint:\n\truff check .\n"
AGAIN = "\nlint:\n\t@true\n"


def look(files: dict[str, str]) -> list[str]:
    base = {"Makefile": MAKE, "tests/test_a.py": "def test_a():\n    assert 1\n"}
    seen = found("weaker-validation", base, {**base, **files})
    return [str(one.severity) for one in seen]


@pytest.mark.parametrize(
    "files",
    [
        {"Makefile": MAKE + AGAIN},
        {"Makefile": MAKE + "\ntest: ; @true\n"},
        {"Makefile": MAKE + "\ninclude extra.mk\n", "extra.mk": AGAIN},
        {"extra.mk": AGAIN},
        {"Makefile": MAKE + "\n$(eval .IGNORE:)\n"},
        {"Makefile": MAKE.replace("ruff check .", "if false; then ruff check .; fi")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . | cat")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . &")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . --version")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || echo later")},
    ],
    ids=lambda files: repr(sorted(files.values())[0][-40:]),
)
def test_a_check_that_cannot_fail_any_more_is_an_error(files: dict[str, str]) -> None:
    assert look(files) == ["error"]


@pytest.mark.parametrize(
    "files",
    [
        # A rule without lines adds what comes first, and takes nothing away.
        {"Makefile": MAKE + "\nlint: generated\n\ngenerated:\n\tpython make.py\n"},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . && ruff format --check . >&2")},
        {"Makefile": MAKE.replace("ruff check .", "ruff --version\n\truff check .")},
        {"Makefile": MAKE.replace("ruff check .", "if true; then ruff check .; fi")},
        {"extra.mk": "deploy:\n\t@true\n"},
        {"extra.mk": "lint:\n\truff check . --fix-only\n"},
    ],
    ids=lambda files: repr(sorted(files.values())[0][-40:]),
)
def test_one_that_can_is_none(files: dict[str, str]) -> None:
    assert "error" not in look(files)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (MAKE + AGAIN, ["@true"]),
        # All rules with two colons run.
        ("lint::\n\truff check .\nlint::\n\tmypy\n", ["ruff check .", "mypy"]),
        # Which branch make takes is not known.
        (
            "ifeq ($(CI),1)\nlint:\n\truff check .\nelse\nlint:\n\tmypy\nendif\n",
            ["ruff check .", "mypy"],
        ),
        ("lint:\nifdef CI\n\truff check .\nendif\n\tmypy\n", ["ruff check .", "mypy"]),
    ],
)
def test_of_several_rules_make_runs_the_last(text: str, lines: list[str]) -> None:
    assert make_recipes("Makefile", {"Makefile": text}.get)["lint"].lines == lines
