"""Which command a repository declares for each purpose; paired: what is found, what is ignored."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest

from skillrun.repo.commands import Commands
from skillrun.repo.shell import purpose
from skillrun.repo.survey import survey
from skillrun.repo.tree import Tree

PYTHON = {"app/main.py": "x = 1\n" * 40, "requirements.txt": "django\n"}


def commands_of(root: Path, files: dict[str, str]) -> Commands:
    return survey(Tree(helpers.build_tree(root, PYTHON | files)), []).commands


def check_finds(root: Path, files: dict[str, str], **expected: str) -> Commands:
    """Exactly these commands are found."""
    found = commands_of(root, files)
    assert {kind: fact.command for kind, fact in found.known().items()} == expected
    return found


MAKEFILE = """
    PYTEST = uv run pytest
    include cfg/*.mk cfg/more.mk
    .PHONY: test lint
    test tests: deps
    \t$(PYTEST) \\
    \t    -q
    lint::
    \t$(MAKE) really
    really:
    \truff check .
    """


def test_make_with_variables_includes_and_calls(tmp_path: Path) -> None:
    files = {"Makefile": MAKEFILE, "cfg/more.mk": "typecheck:\n\tmypy .\nbuild:\n\tpython -m build\n"}
    found = check_finds(
        tmp_path, files, lint="make lint", typecheck="make typecheck", test="make test", build="make build"
    )
    assert found.test and (found.test.path, found.test.line, found.test.runs) == ("Makefile", 4, "uv run pytest -q")
    assert found.lint and found.lint.runs == "ruff check ."
    assert found.build and (found.build.path, found.build.line) == ("cfg/more.mk", 3)


def test_a_make_target_is_known_by_what_it_runs(tmp_path: Path) -> None:
    check_finds(tmp_path, {"Makefile": "check:\n\tpyright src\nfix:\n\truff check --fix\n\techo done\n\tgit commit\n"},
                typecheck="make check")  # fmt: skip


def test_make_ignores_empty_targets_and_releases(tmp_path: Path) -> None:
    check_finds(tmp_path, {"Makefile": "test:\n\nrelease:\n\ttwine upload dist/*\nlint: VAR = 1\n"})


def test_just_and_its_modules(tmp_path: Path) -> None:
    files = {
        "justfile": "mod test 'tasks/test'\nlint *args:\n    uv run ruff check\n",
        "tasks/test": "default:\n    just --list\nbackend:\n    pytest\n",
    }
    check_finds(tmp_path, files, lint="just lint", test="just test backend")


def test_nox_and_tox(tmp_path: Path) -> None:
    noxfile = (
        "import nox\n@nox.session\ndef lint(s): ...\n@nox.session(name='tests')\ndef t(s): ...\ndef build(): ...\n"
    )
    check_finds(tmp_path / "nox", {"noxfile.py": noxfile}, lint="nox --session lint", test="nox --session tests")
    tox = "[testenv]\ncommands = pytest\n[testenv:mypy]\ncommands = mypy .\n[testenv:docs]\ncommands = sphinx\n"
    check_finds(tmp_path / "tox", {"tox.ini": tox}, test="tox", typecheck="tox -e mypy")


def test_task_runners_in_pyproject(tmp_path: Path) -> None:
    pyproject = """
        [tool.poe.tasks]
        lint = "ruff check"
        [tool.poe.tasks.test]
        cmd = "pytest"
        [tool.hatch.envs.types.scripts]
        check-types = "mypy"
        """
    check_finds(tmp_path, {"pyproject.toml": pyproject}, lint="poe lint", test="poe test",
                typecheck="hatch run types:check-types")  # fmt: skip


def test_scripts_with_and_without_extension(tmp_path: Path) -> None:
    files = {
        "scripts/lint": "#!/bin/sh\nruff check\n",
        "scripts/check": "#!/bin/sh -e\n${PREFIX}mypy app\n",
        "run_tests.sh": "pytest\n",
        "scripts/build.py": "print()\n",
        "docs/scripts/build": "#!/bin/sh\nmake html\n",
    }
    check_finds(tmp_path, files, lint="sh scripts/lint", typecheck="sh scripts/check", test="sh run_tests.sh")


def test_ci_of_any_kind(tmp_path: Path) -> None:
    github = """
        jobs:
          test:
            name: pytest and mypy
            steps:
              - run: pip install pytest mypy ruff
              - name: Lint
                run: ruff check . || true
              - name: Test
                working-directory: backend
                run: |
                  # pytest is run here
                  python manage.py makemigrations --check
                  coverage run -m pytest tests
              - run: |
                  cd front
                  npm run build
        """
    check_finds(tmp_path / "gh", {".github/workflows/ci.yml": github}, lint="ruff check .",
                test="cd backend && coverage run -m pytest tests", build="cd front && npm run build")  # fmt: skip
    gitlab = "test:\n  script:\n    - pip install tox\n    - poetry run pytest -q\n    - 'mypy src'\n"
    check_finds(tmp_path / "gl", {".gitlab-ci.yml": gitlab}, test="poetry run pytest -q", typecheck="mypy src")


def test_ci_commands_that_only_ci_can_run_are_no_commands(tmp_path: Path) -> None:
    ci = "env:\n  test: pytest\njobs:\n  a:\n    steps:\n      - run: tox -e ${{ matrix.env }}\n      # - run: pytest\n"
    check_finds(tmp_path, {".github/workflows/ci.yml": ci})


def test_package_json_of_a_javascript_project_and_beside_python(tmp_path: Path) -> None:
    package = '{"scripts": {"lint": "eslint .", "test": "jest", "build": "vite build"}}'
    script = {"src/index.js": "f()\n" * 400, "package.json": package, "pnpm-lock.yaml": ""}
    check_finds(tmp_path / "js", script, lint="pnpm lint", test="pnpm test", build="pnpm build")
    check_finds(tmp_path / "py", {"ui/package.json": package}, build="npm --prefix ui run build")
    absent = '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'
    check_finds(tmp_path / "none", {"src/index.js": "f()\n" * 400, "package.json": absent})


def test_pre_commit_comes_after_ci_and_agent_notes_come_last(tmp_path: Path) -> None:
    hooks = "repos:\n- repo: x\n  hooks:\n  - id: ruff\n  - id: mypy\n"
    notes = "Run `uv run pytest -q` and `ruff check <files>`; `pytest` is used.\n```sh\nuv build  # wheel\n```\n"
    files = {".pre-commit-config.yaml": hooks, "AGENTS.md": notes}
    check_finds(tmp_path / "a", files, lint="pre-commit run --all-files", typecheck="pre-commit run mypy --all-files",
                test="uv run pytest -q", build="uv build")  # fmt: skip
    ci = {".github/workflows/ci.yml": "steps:\n  - run: mypy app\n"}
    assert commands_of(tmp_path / "b", files | ci).typecheck == CommandLike("mypy app")


class CommandLike:
    """Equal to any fact with this command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __eq__(self, other: object) -> bool:
        return getattr(other, "command", None) == self.command


def test_nothing_declared_is_nothing_found(tmp_path: Path) -> None:
    check_finds(tmp_path, {"tests/test_a.py": "def test(): ...\n", "pytest.ini": "[pytest]\n", "mypy.ini": "[mypy]\n"})


def test_broken_files_declare_nothing(tmp_path: Path) -> None:
    broken = {
        "package.json": "{",
        "pyproject.toml": "[",
        "noxfile.py": "def (",
        "tox.ini": "x\n[",
        "justfile": "mod test\n",
    }
    files = broken | {"Makefile": "include Makefile\n:\n\t\n$(", ".github/workflows/ci.yml": ":\n- - -\n"}
    check_finds(tmp_path, files)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("uv run --no-dev pytest --showlocals", "test"),
        ("DJANGO_SETTINGS_MODULE=x python -Wd -m coverage run manage.py test -v2", "test"),
        ("docker compose run --rm web uv run python ./manage.py test", "test"),
        ("poetry run mypy .", "typecheck"),
        ("python -m ruff check", "lint"),
        ("ruff format --check .", "lint"),
        ("ruff format .", None),
        ("black .", None),
        ("black --check .", "lint"),
        ("python -m build", "build"),
        ("pip install pytest", None),
        ("python manage.py check", None),
        ("echo pytest", None),
        ("make test", "test"),
        ("npm run lint", "lint"),
        ("pytest --version", None),
        ("tsc --noEmit", "typecheck"),
        ("", None),
    ],
)
def test_purposes(command: str, expected: str | None) -> None:
    assert purpose(command) == expected
