"""Lint and type checks that a branch makes mute: they pass, since nothing runs any more."""

from __future__ import annotations

import pytest
from looks import found

from skillrun.repo.makefile import make_recipes

MAKE = ".PHONY: test lint\ntest:\n\tpython -m pytest -q\n\nlint:\n\truff check .\n"
AGAIN = "\nlint:\n\t@true\n"
SOFT = MAKE.replace("ruff", "-ruff")
STRICT = "lint:\n\truff check .\n"


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
        # What only looks like a rule takes the place of none.
        {"Makefile": f"{SOFT}\ndefine UNUSED\n{STRICT}endef\n"},
        {"Makefile": f"{SOFT}\nifdef NO\ndefine Y\nendif\nendef\n{STRICT}endif\n"},
        {"Makefile": f"{SOFT}\nifdef NO\ndefine Y\nendif\nendef\n{STRICT}endif\n$(eval x=1)\n"},
        {"Makefile": f"{SOFT}\n$(if x,,\n{STRICT})\n"},
        {"Makefile": f"{SOFT}\nX = 1\n\tifdef NO\n{STRICT}\tendif\n"},
        {"Makefile": f"{MAKE}\ndefine T\nlint:\n\t-ruff check .\nendef\n$(eval $(T))\n"},
        {"Makefile": MAKE + "\nlint: ;\n"},
        {"Makefile": MAKE + "\nlint:\n\t# later\n"},
        {"Makefile": MAKE + "\ndefine HELP\nhelp\nendef\nlint: ;\n"},
        {"Makefile": MAKE + "\n$(eval .IGNORE:)\n"},
        {"Makefile": MAKE.replace("ruff check .", "if false; then ruff check .; fi")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . | cat")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . &")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . --version")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || echo later")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || { echo exit 1; }")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || (echo x || exit 1)")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || (exit 1); echo x")},
        {"Makefile": MAKE.replace("ruff check .", "pip install ruff && ruff check . | cat")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . --version || ruff check .")},
        {"Makefile": MAKE.replace("ruff check .", "command -v ruff && ruff check . || echo no")},
        {"Makefile": MAKE.replace("ruff check .", "echo x; ruff check . &")},
        {"Makefile": MAKE.replace("ruff check .", "RUN=install ruff check . | cat")},
    ],
    ids=lambda files: repr(sorted(files.values())[0][-40:]),
)
def test_a_check_that_cannot_fail_any_more_is_an_error(files: dict[str, str]) -> None:
    assert set(look(files)) == {"error"}


@pytest.mark.parametrize(
    "files",
    [
        # A rule without lines adds what comes first, and takes nothing away.
        {"Makefile": MAKE + "\nlint: generated\n\ngenerated:\n\tpython make.py\n"},
        {"Makefile": MAKE.replace("ruff check .", "ruff check . && ruff format --check . >&2")},
        {"Makefile": MAKE.replace("ruff check .", "ruff --version\n\truff check .")},
        {"Makefile": MAKE.replace("ruff check .", "if true; then ruff check .; fi")},
        {"Makefile": MAKE + "\ndefine HELP\ntest: ;\nlint: ; @true\nendef\n"},
        {"Makefile": MAKE + "\nFORCE: ;\n"},
        {"Makefile": MAKE.replace("lint:", "lint::") + "\nlint:: ;\n"},
        {"extra.mk": "deploy:\n\t@true\n"},
        {"extra.mk": "lint:\n\truff check . --fix-only\n"},
        {
            "Makefile": MAKE.replace(
                "ruff check .", "command -v ruff || pip install ruff\n\truff check ."
            )
        },
        {
            "Makefile": MAKE.replace(
                "ruff check .", "ruff check . || { echo run make format; exit 1; }"
            )
        },
        {
            "Makefile": MAKE.replace(
                "ruff check .", "ruff check . || (echo run make format && exit 1)"
            )
        },
        {"Makefile": MAKE.replace("ruff check .", "ruff check . || { echo no; false; }")},
        {"Makefile": MAKE.replace("ruff check .", "pip install ruff | tail -1\n\truff check .")},
        {"Makefile": MAKE.replace("ruff check .", "ruff check --version && ruff check .")},
        {"Makefile": MAKE.replace("ruff check .", "python -m http.server 8000 &\n\truff check .")},
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
        ("lint:\n\truff check .\nlint: ;\n", []),
        ("lint:\n\truff check .\nlint:\n\t\n", []),
        ("define = 1\nlint:\n\tmypy\nlint:\n\truff check .\n", ["ruff check ."]),
        ("lint:\nifdef CI\n\truff check .\nendif\n\tmypy\n", ["ruff check .", "mypy"]),
    ],
)
def test_of_several_rules_make_runs_the_last(text: str, lines: list[str]) -> None:
    assert make_recipes("Makefile", {"Makefile": text}.get)["lint"].lines == lines


def test_a_file_included_within_a_condition_takes_no_rule_away() -> None:
    texts = {
        "Makefile": "lint:\n\t-ruff check .\nifdef NO\ninclude extra.mk\nendif\n",
        "extra.mk": STRICT,
    }
    lines = make_recipes("Makefile", texts.get)["lint"].lines
    assert lines == ["-ruff check .", "ruff check ."]
