"""What a declared command runs besides its own lines: a script that it calls, a recipe that it
needs, npm's own hooks. One that throws a database away or changes the files there is not taken.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from surveying import check_finds

JAVASCRIPT = {"src/a.js": "let x;\n" * 99, "requirements.txt": "", "app/main.py": ""}
SCRIPT = "#!/bin/sh\ncreatedb shop\n{line}\npytest\n"
# A name -> (files with {line} in one of them, a line that is no harm, one that is, the command).
RUNS = {
    "a recipe that is needed": (
        {"Makefile": "test: fresh\n\tpytest\nfresh: base\n\tcreatedb shop\nbase:\n\t{line}\n"},
        "psql -c 'select 1'",
        "psql -c 'DROP DATABASE shop'",
        {"test": "make test"},
    ),
    "a recipe that only needs others": (
        {"Makefile": "test: fresh _unit\nfresh:\n\t{line}\n_unit:\n\tpytest\n"},
        "createdb shop",
        "python manage.py flush --no-input",
        {"test": "make test"},
    ),
    "a script that a recipe calls": (
        {"Makefile": "test:\n\t./scripts/run.sh\n", "scripts/run.sh": SCRIPT},
        "psql -f schema.sql",
        "dropdb shop",
        {"test": "make test"},
    ),
    "a script that a script calls": (
        {"run_tests.sh": "#!/bin/sh\nbash bin/fresh && pytest\n", "bin/fresh": SCRIPT},
        "psql -f schema.sql",
        "dropdb shop",
        {"test": "sh run_tests.sh"},
    ),
    "a script that npm calls": (
        {**JAVASCRIPT, "package.json": '{"scripts": {"test": "sh scripts/run.sh"}}'}
        | {"scripts/run.sh": SCRIPT},
        "psql -f schema.sql",
        "dropdb shop",
        {"test": "npm test"},
    ),
    "before npm's script": (
        {**JAVASCRIPT, "package.json": '{"scripts": {"pretest": "{line}", "test": "jest"}}'},
        "prisma migrate deploy",
        "prisma migrate reset --force",
        {"test": "npm test"},
    ),
    "behind npm's script": (
        {**JAVASCRIPT, "package.json": '{"scripts": {"lint": "eslint .", "postlint": "{line}"}}'},
        "prettier --check .",
        "prettier --write .",
        {"lint": "npm run lint"},
    ),
    "before a script that npm's script calls": (
        {**JAVASCRIPT}
        | {"package.json": '{"scripts": {"test": "npm run a", "prea": "{line}", "a": "jest"}}'},
        "prisma migrate deploy",
        "prisma migrate reset",
        {"test": "npm test"},
    ),
    "letters that stand together": (
        {"Makefile": "lint:\n\t{line} .\n"},
        "autopep8 --diff -r",
        "autopep8 -ir",
        {"lint": "make lint"},
    ),
}


def _fill_in(files: dict[str, str], line: str) -> dict[str, str]:
    return {path: text.replace("{line}", line) for path, text in files.items()}


@pytest.mark.parametrize("name", RUNS)
def test_all_that_a_command_runs_is_judged(tmp_path: Path, name: str) -> None:
    files, harmless, harmful, commands = RUNS[name]
    check_finds(tmp_path / "harmless", _fill_in(files, harmless), **commands)
    check_finds(tmp_path / "harmful", _fill_in(files, harmful))


def test_a_script_that_is_only_named_is_not_run(tmp_path: Path) -> None:
    files = {
        "Makefile": "test:\n\tpytest --ignore other/fresh.sh.txt\n",
        "fresh.sh": "dropdb shop\n",
    }
    check_finds(tmp_path, files, test="make test")
