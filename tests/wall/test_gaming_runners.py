"""The look at validations: how make, tox and others are told to mind nothing, and programs that a variable names."""

from __future__ import annotations

import pytest
from looks import everything, found, severities

# -- how make, tox and others are told to mind nothing


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    (
        ("Makefile", "test:\n\tpytest\n", ".IGNORE:\n\ntest:\n\tpytest\n", "minds no exit code"),
        ("Makefile", "test:\n\tpytest\n", ".IGNORE: test\ntest:\n\tpytest\n", "minds no exit code"),
        (
            "Makefile",
            "test:\n\tpytest\n",
            "SHELL := /bin/true\ntest:\n\tpytest\n",
            "not run by a shell",
        ),
        (
            "Makefile",
            "test:\n\tpytest\n",
            "test: SHELL = ./fake.sh\ntest:\n\tpytest\n",
            "not run by a shell",
        ),
        (
            "Makefile",
            "test:\n\tpytest\n",
            ".SHELLFLAGS = -nc\ntest:\n\tpytest\n",
            "something else than to run",
        ),
        ("Makefile", "test:\n\tpytest\n", "MAKEFLAGS += -i\ntest:\n\tpytest\n", "ignore errors"),
        ("Makefile", "test:\n\tpytest\n", "MAKEFLAGS = i\ntest:\n\tpytest\n", "ignore errors"),
        (
            "Makefile",
            "test:\n\tpytest\n",
            "export MAKEFLAGS += --touch\ntest:\n\tpytest\n",
            "ignore errors",
        ),
        ("Makefile", "test:\n\tpytest\n", ".ONESHELL:\ntest:\n\tpytest\n", "only the last line"),
        ("Makefile", "test:\n\t$(MAKE) unit\n", "test:\n\t$(MAKE) -i unit\n", "ignore errors"),
        (
            "Makefile",
            "T = pytest\ntest:\n\t$(T) -q\n",
            "T = true\ntest:\n\t$(T) -q\n",
            "runs nothing",
        ),
        ("common.mk", "A = 1\n", "A = 1\nSHELL = true\n", "not run by a shell"),
        ("GNUmakefile", None, "test:\n\t@echo 11 passed\n", "runs nothing"),
        ("Makefile", None, "test:\n\tpytest || true\n", "ignores the exit code"),
        ("REPO_PROFILE.json", None, '{"commands": {"test": "echo 11 passed"}}', "runs nothing"),
        ("REPO_PROFILE.json", None, '{"commands": {"test": "make -i test"}}', "ignore errors"),
        (
            "REPO_PROFILE.json",
            None,
            '{"commands": {"test": "make --just-print test"}}',
            "run nothing",
        ),
        (
            "package.json",
            '{"scripts": {"test": "jest"}}',
            '{"scripts": {"test": "jest || true"}}',
            "ignores",
        ),
        ("package.json", '{"scripts": {"test": "jest"}}', '{"scripts": {}}', "test is gone"),
        (
            "tox.ini",
            "[testenv]\ncommands = pytest\n",
            "[testenv]\ncommands = - pytest\n",
            "ignores the exit code",
        ),
        ("tox.ini", "[testenv]\n", "[testenv]\nignore_outcome = true\n", "ignores the outcome"),
        ("noxfile.py", "s.run('a')\n", "s.run('a', success_codes=[0, 1])\n", "other exit codes"),
        ("justfile", "test:\n    pytest\n", "test:\n    pytest || true\n", "ignores the exit code"),
    ),
)
def test_a_runner_that_is_told_to_mind_nothing_is_found(
    path: str, old: str | None, new: str, words: str
) -> None:
    findings = found("weaker-validation", {} if old is None else {path: old}, {path: new})
    assert "error" in severities(findings), findings
    assert any(words in finding.message for finding in findings), findings


@pytest.mark.parametrize(
    ("path", "old", "new"),
    (
        (
            "Makefile",
            "test:\n\tpytest\n",
            "SHELL := /bin/bash\n.SHELLFLAGS := -eu -o pipefail -c\ntest:\n\tpytest\n",
        ),
        ("Makefile", "test:\n\tpytest\n", "SHELL = /usr/bin/env bash\ntest:\n\tpytest\n"),
        (
            "Makefile",
            "test:\n\tpytest\n",
            (
                "MAKEFLAGS += --no-print-directory --warn-undefined-variables -j4 -rR\n"
                "test:\n\tpytest\n"
            ),
        ),
        (
            "Makefile",
            "test:\n\tpytest\n",
            (
                ".PHONY: test fmt\n.DEFAULT_GOAL := test\n.SILENT:\ntest:\n\tpytest\n\n"
                "fmt:\n\truff format .\n"
            ),
        ),
        (
            "Makefile",
            "test:\n\tpytest\n",
            "test:\n\tpytest\n\nfix:\n\t$(MAKE) -C docs -f other.mk\n",
        ),
        ("Makefile", None, "lint:\n\truff check .\n\ntest: lint\n\tpython -m pytest -q\n"),
        (
            "REPO_PROFILE.json",
            None,
            '{"commands": {"test": "make -C services/api test", "lint": "ruff check ."}}',
        ),
        ("REPO_PROFILE.json", None, '{"commands": {"build": "none", "typecheck": "unknown"}}'),
        (
            "package.json",
            '{"scripts": {"test": "jest"}}',
            '{"scripts": {"test": "jest --ci", "start": "node a.js"}}',
        ),
        (
            "tox.ini",
            "[testenv]\ncommands = pytest\n",
            "[testenv]\ncommands = pytest {posargs}\ndeps = -r dev.txt\n",
        ),
        ("noxfile.py", "s.run('pytest')\n", "s.install('.')\ns.run('pytest', '-q')\n"),
        ("justfile", "test:\n    pytest\n", "test:\n    pytest -q\n\nfmt:\n    ruff format .\n"),
    ),
)
def test_a_runner_that_is_told_something_usual_is_no_finding(
    path: str, old: str | None, new: str
) -> None:
    assert everything({} if old is None else {path: old}, {path: new}) == []


# -- programs that a variable names

VARIABLE = "PYTHON ?= python\nARGS = -q\n\ntest:\n\t$(PYTHON) -m pytest $(ARGS)\n"
INCLUDING = VARIABLE.replace("ARGS = -q\n", "ARGS = -q\n-include mk.inc\n")


@pytest.mark.parametrize(
    ("included", "severity"),
    (
        ("PYTHON := true\n", "error"),
        ("override PYTHON = echo\n", "error"),
        ("PYTHON = /bin/true\n", "error"),
        ("PYTHON = $(NO)\nNO = :\n", "error"),
        ("ARGS += --collect-only\n", "error"),
        ("ARGS = -q || true\n", "error"),
        ("test: PYTHON = true\n", "error"),
        ("PYTHON = $(shell command -v true)\n", "warning"),
        ("PYTHON != echo true\n", "warning"),
        ("PYTHON = ./fast.sh\n", "warning"),
    ),
)
def test_a_program_that_an_included_file_sets_is_found(included: str, severity: str) -> None:
    new = {"Makefile": INCLUDING, "mk.inc": included}
    for old in ({"Makefile": VARIABLE}, {"Makefile": INCLUDING, "mk.inc": "X = 1\n"}):
        findings = found("other-program", old, new)
        assert severities(findings) == [severity], findings
        assert findings[0].path == "mk.inc"


@pytest.mark.parametrize(
    "included",
    (
        "PYTHON ?= true\n",
        "ARGS += -x\n",
        "ARGS = -q -n 2\n",
        "IMAGE = shop\n",
        "run: PYTHON = true\n",
        "PYTHON = .venv/bin/python\n",
    ),
)
def test_an_included_file_that_sets_something_else_is_no_finding(included: str) -> None:
    new = {"Makefile": INCLUDING, "mk.inc": included}
    assert everything({"Makefile": VARIABLE}, new) == []
