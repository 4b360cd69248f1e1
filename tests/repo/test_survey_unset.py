"""A declared command that needs a variable nothing sets is not taken, whoever declares it."""

from __future__ import annotations

from pathlib import Path

import pytest
from surveying import check_finds

# A name -> (file, its text with a variable that nothing sets, the same with one that is set or may be
# left out, the command).
DECLARED = {
    "tox": (
        "tox.ini",
        "[testenv]\ncommands = pytest --host {env:DB_HOST}\n",
        "[testenv]\ncommands = pytest --host {env:DB_HOST:localhost} {env:TESTS}\n",
        "tox",
    ),
    "tox, set there": (
        "tox.ini",
        "[testenv]\nsetenv =\n    HOST = a\ncommands = pytest --host {env:DB_HOST}\n",
        "[testenv]\nsetenv =\n    DB_HOST = a\ncommands = pytest --host {env:DB_HOST}\n",
        "tox",
    ),
    "nox": (
        "noxfile.py",
        "import nox, os\n@nox.session\ndef test(s):\n    s.run('pytest', os.environ['DB_HOST'])\n",
        "import nox, os\n@nox.session\ndef test(s):\n    s.run('pytest', os.environ.get('A', 'b'))\n",
        "nox --session test",
    ),
    "nox, set there": (
        "noxfile.py",
        "import nox, os\n@nox.session\ndef test(s):\n    s.run('pytest', os.environ['DB_HOST'])\n",
        (
            "import nox, os\nos.environ.setdefault('DB_HOST', 'a')\n@nox.session\ndef test(s):\n"
            "    s.run('pytest', os.environ['DB_HOST'])\n"
        ),
        "nox --session test",
    ),
    "poe": (
        "pyproject.toml",
        "[tool.poe.tasks]\ntest = 'pytest --host $DB_HOST'\n",
        "[tool.poe.tasks]\ntest = 'pytest --host ${DB_HOST:-a} $PYTEST_ARGS'\n",
        "poe test",
    ),
    "poe, set there": (
        "pyproject.toml",
        "[tool.poe.tasks.test]\ncmd = 'pytest --host $DB_HOST'\nargs = ['DB_HOST']\n",
        "[tool.poe.tasks.test]\ncmd = 'pytest --host $DB_HOST'\nenv = {DB_HOST = 'a'}\n",
        "poe test",
    ),
    "poe, an argument": (
        "pyproject.toml",
        "[tool.poe.tasks.test]\ncmd = 'pytest --host $host'\nargs = [{name = 'host'}]\n",
        "[tool.poe.tasks.test]\ncmd = 'pytest --host $host'\nargs = [{name = 'host', default = 'a'}]\n",
        "poe test",
    ),
    "pdm": (
        "pyproject.toml",
        "[tool.pdm.scripts]\ntest = 'pytest --host $DB_HOST'\n",
        "[tool.pdm.scripts]\n_.env = {DB_HOST = 'a'}\ntest = 'pytest --host $DB_HOST'\n",
        "pdm run test",
    ),
    "pdm, a file": (
        "pyproject.toml",
        "[tool.pdm.scripts]\ntest = {cmd = 'pytest --host $DB_HOST'}\n",
        "[tool.pdm.scripts]\ntest = {cmd = 'pytest --host $DB_HOST', env_file = 'test.env'}\n",
        "pdm run test",
    ),
    "taskipy": (
        "pyproject.toml",
        "[tool.taskipy.tasks]\ntest = 'pytest --host $DB_HOST'\n",
        "[tool.taskipy.tasks]\ntest = 'DB_HOST=a; pytest --host $DB_HOST'\n",
        "task test",
    ),
    "Pipfile": (
        "Pipfile",
        "[scripts]\ntest = 'pytest --host $DB_HOST'\n",
        "[scripts]\ntest = 'pytest --root $PWD'\n",
        "pipenv run test",
    ),
    "composer": (
        "composer.json",
        '{"scripts": {"test": ["phpunit --host $DB_HOST"]}}',
        '{"scripts": {"test": ["@putenv DB_HOST=a", "phpunit --host $DB_HOST"]}}',
        "composer run test",
    ),
    "Taskfile": (
        "Taskfile.yml",
        "version: 3\ntasks:\n  test:\n    cmds:\n      - pytest --host $DB_HOST\n",
        (
            "version: 3\nenv:\n  DB_HOST: a\ntasks:\n  test:\n    cmds:\n"
            "      - pytest --host $DB_HOST {{.CLI_ARGS}}\n"
        ),
        "task test",
    ),
    "Taskfile, its own": (
        "Taskfile.yml",
        "version: 3\ntasks:\n  test:\n    cmds:\n      - pytest --host {{.DB_HOST}}\n",
        (
            "version: 3\nvars: {DB_HOST: a}\ntasks:\n  test:\n    cmds:\n"
            "      - pytest --host {{ .DB_HOST }}\n"
        ),
        "task test",
    ),
    "Taskfile, required": (
        "Taskfile.yml",
        "version: 3\ntasks:\n  test:\n    requires:\n      vars: [A]\n    cmds:\n      - pytest {{.A}}\n",
        "version: 3\ntasks:\n  test:\n    cmds:\n      - pytest {{.A}}\n",
        "task test",
    ),
    "hatch": (
        "pyproject.toml",
        "[tool.hatch.envs.default.scripts]\ntest = 'pytest --host {env:DB_HOST} {args}'\n",
        (
            "[tool.hatch.envs.default.env-vars]\nDB_HOST = 'a'\n"
            "[tool.hatch.envs.default.scripts]\ntest = 'pytest --host {env:DB_HOST} {args}'\n"
        ),
        "hatch run test",
    ),
    "invoke": (
        "tasks.py",
        "from invoke import task\n@task\ndef test(c):\n    c.run('pytest --host $DB_HOST')\n",
        "from invoke import task\n@task\ndef test(c, k=''):\n    c.run('pytest')\n",
        "inv test",
    ),
    "invoke, an argument": (
        "tasks.py",
        "from invoke import task\n@task\ndef test(c, host):\n    c.run(f'pytest --host {host}')\n",
        "from invoke import task\n@task\ndef test(c, host='a'):\n    c.run('pytest')\n",
        "inv test",
    ),
    "just": (
        "justfile",
        "test:\n    pytest --host $DB_HOST\n",
        "export DB_HOST := 'a'\ntest:\n    pytest --host $DB_HOST\n",
        "just test",
    ),
    "just, by its function": (
        "justfile",
        "test:\n    pytest --host {{env('DB_HOST')}}\n",
        "test:\n    pytest --host {{env('DB_HOST', 'a')}}\n",
        "just test",
    ),
    "just, with a file": (
        "justfile",
        "test:\n    pytest --host $DB_HOST\n",
        "set dotenv-load\ntest:\n    pytest --host $DB_HOST\n",
        "just test",
    ),
    "make, that stops": (
        "Makefile",
        "ifndef DB_HOST\n$(error DB_HOST is not set)\nendif\ntest:\n\tpytest\n",
        "DB_HOST ?= a\nifndef DB_HOST\n$(error DB_HOST is not set)\nendif\ntest:\n\tpytest\n",
        "make test",
    ),
    "make, one target that stops": (
        "Makefile",
        "test:\nifndef DB_HOST\n\t$(error DB_HOST is not set)\nendif\n\tpytest\n",
        "deploy:\nifndef KEY\n\t$(error KEY is not set)\nendif\n\tput\ntest:\n\tpytest\n",
        "make test",
    ),
    "script, that stops": (
        "scripts/test.sh",
        "#!/bin/sh\n: ${DB_HOST:?not set}\npytest\n",
        "#!/bin/sh\n: ${DB_HOST:=a}\npytest\n",
        "sh scripts/test.sh",
    ),
    "script, in a function that it calls": (
        "scripts/test.sh",
        "#!/bin/sh\nmain() {\n  : ${DB_HOST:?not set}\n  pytest\n}\nmain\n",
        "#!/bin/sh\ndeploy() {\n  : ${DB_HOST:?not set}\n}\npytest\n",
        "sh scripts/test.sh",
    ),
    "make, the shell ends": (
        "Makefile",
        "test:\n\tpytest --dsn $${DB_HOST:?not set}\n",
        "test:\n\tDB_HOST=a pytest --dsn $${DB_HOST:?not set}\n",
        "make test",
    ),
    "Taskfile, required and not given": (
        "Taskfile.yml",
        (
            "version: 3\nvars:\n  B: b\ntasks:\n  test:\n    requires:\n      vars:\n"
            "        - A\n    cmds:\n      - pytest {{.A}}\n"
        ),
        (
            "version: 3\nvars:\n  A: a\ntasks:\n  test:\n    requires:\n      vars:\n"
            "        - name: A\n    cmds:\n      - pytest {{.A}}\n"
        ),
        "task test",
    ),
    "Taskfile, required and given beside it": (
        "Taskfile.yml",
        "version: 3\ntasks:\n  test:\n    requires: {vars: [A, B]}\n    vars: {A: a}\n"
        "    cmds:\n      - pytest {{.A}}\n",
        "version: 3\ntasks:\n  test:\n    vars: {A: a, B: b}\n    requires: {vars: [A, B]}\n"
        "    cmds:\n      - pytest {{.A}}\n",
        "task test",
    ),
    "invoke, an argument of several": (
        "tasks.py",
        "from invoke import task\n@task(iterable=['paths'])\ndef test(c, host, paths):\n"
        "    c.run('pytest')\n",
        "from invoke import task\n@task(iterable=['paths'], incrementable=['verbose'])\n"
        "def test(c, paths, verbose):\n    c.run('pytest')\n",
        "inv test",
    ),
    "invoke, a positional argument": (
        "tasks.py",
        "from invoke import task\n@task(positional=['host'])\ndef test(c, host):\n    c.run('pytest')\n",
        "from invoke import task\n@task(positional=[])\ndef test(c, host):\n    c.run('pytest')\n",
        "inv test",
    ),
    "tox, for some environments": (
        "tox.ini",
        "[testenv]\nsetenv =\n    py312: HOST = a\ncommands = pytest --host {env:DB_HOST}\n",
        "[testenv]\nsetenv =\n    py311,py312: DB_HOST = a\ncommands = pytest --host {env:DB_HOST}\n",
        "tox",
    ),
    "tox, a file": (
        "tox.ini",
        "[testenv]\ndescription = file\ncommands = pytest --host {env:DB_HOST}\n",
        "[testenv]\nsetenv = file|test.env\ncommands = pytest --host {env:DB_HOST}\n",
        "tox",
    ),
    "script, an argument": (
        "scripts/test.sh",
        "#!/bin/sh\npytest -k $1\n",
        "#!/bin/sh\npytest $1 -k ${2:-all}\n",
        "sh scripts/test.sh",
    ),
    "script, that asks for an argument": (
        "scripts/test.sh",
        "#!/bin/sh\nsuite=${1:?usage: test.sh SUITE}\npytest tests/$suite\n",
        "#!/bin/sh\nrun() {\n  pytest -k $1\n}\nrun a\npytest\n",
        "sh scripts/test.sh",
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_what_needs_an_unset_variable_is_not_taken(tmp_path: Path, name: str) -> None:
    path, unset, is_set, command = DECLARED[name]
    check_finds(tmp_path / "unset", {path: unset})
    check_finds(tmp_path / "set", {path: is_set}, test=command)


# What sees to it that the variable or the argument is set, or does without.
GUARDED = {
    "nox, PATH": (
        "noxfile.py",
        "import nox, os\n@nox.session\ndef test(s):\n    s.env['A'] = os.environ['PATH']\n"
        "    s.run('pytest')\n",
        "nox --session test",
    ),
    "nox, asked for first": (
        "noxfile.py",
        "import nox, os\n@nox.session\ndef test(s):\n    if 'HOST' in os.environ:\n"
        "        s.env['A'] = os.environ['HOST']\n    s.run('pytest')\n",
        "nox --session test",
    ),
    "tox, of its own": (
        "tox.ini",
        "[testenv]\ncommands = pytest --basetemp={env:TOX_ENV_DIR}/tmp\n",
        "tox",
    ),
    "script, an argument that is asked for": (
        "scripts/test.sh",
        '#!/bin/sh\nif [ -n "$1" ]; then\n  pytest -k $1\nelse\n  pytest\nfi\n',
        "sh scripts/test.sh",
    ),
    "script, only where it deploys": (
        "scripts/test.sh",
        '#!/bin/sh\nif [ "$1" = deploy ]; then\n  : "${KEY:?not set}"\n  put\nfi\npytest\n',
        "sh scripts/test.sh",
    ),
    "script, only where it deploys, in a line": (
        "scripts/test.sh",
        '#!/bin/sh\nif [ -n "$CI" ]; then : "${KEY:?not set}"; fi\npytest\n',
        "sh scripts/test.sh",
    ),
    "make, that stops in one case": (
        "Makefile",
        "ifeq ($(MODE),deploy)\nifndef KEY\n$(error KEY is not set)\nendif\nendif\ntest:\n\tpytest\n",
        "make test",
    ),
    "script, with a file if there is one": (
        "scripts/test.sh",
        "#!/bin/sh\n[ -f .env ] && . ./.env\npytest --host=$DB_HOST\n",
        "sh scripts/test.sh",
    ),
}


@pytest.mark.parametrize("name", GUARDED)
def test_what_is_guarded_or_always_set_is_taken(tmp_path: Path, name: str) -> None:
    path, text, command = GUARDED[name]
    check_finds(tmp_path / "guarded", {path: text}, test=command)


def test_pipenv_reads_the_file_that_lies_beside_its_pipfile(tmp_path: Path) -> None:
    files = {"Pipfile": "[scripts]\ntest = 'pytest --host $DB_HOST'\n", ".env": "DB_HOST=a\n"}
    check_finds(tmp_path / "set", files, test="pipenv run test")
    check_finds(tmp_path / "another", files | {".env": "HOST=a\n"})


NPM = '{"scripts": {"test": "jest -t $%s"}}'


def test_what_npm_sets_itself_needs_nobody(tmp_path: Path) -> None:
    javascript = {"src/a.js": "let x;\n" * 99, "requirements.txt": "", "app/main.py": ""}
    files = javascript | {"package.json": NPM % "npm_package_name"}
    check_finds(tmp_path / "package", files, test="npm test")
    # What somebody says on the command line: `npm test --name=x`.
    check_finds(tmp_path / "option", javascript | {"package.json": NPM % "npm_config_name"})
