"""Which command a repository declares for each purpose; paired: what is found, what is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from surveying import check_finds

from skillrun.repo.shell import find_purpose

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
    files = {
        "Makefile": MAKEFILE,
        "cfg/more.mk": "typecheck:\n\tmypy .\nbuild:\n\tpython -m build\n",
    }
    found = check_finds(
        tmp_path,
        files,
        lint="make lint",
        typecheck="make typecheck",
        test="make test",
        build="make build",
    )
    assert found.test and (found.test.path, found.test.line, found.test.runs) == (
        "Makefile",
        4,
        "uv run pytest -q",
    )
    assert found.lint and found.lint.runs == "ruff check ."
    assert found.build and (found.build.path, found.build.line) == ("cfg/more.mk", 3)


def test_a_make_target_is_known_by_what_it_runs(tmp_path: Path) -> None:
    check_finds(
        tmp_path,
        {
            "Makefile": (
                "check:\n\tpyright src\nfix:\n\truff check --fix\n\techo done\n\tgit commit\n"
            )
        },
        typecheck="make check",
    )


def test_make_ignores_empty_targets_and_releases(tmp_path: Path) -> None:
    check_finds(tmp_path, {"Makefile": "test:\n\nrelease:\n\ttwine upload dist/*\nlint: VAR = 1\n"})


def test_just_and_its_modules(tmp_path: Path) -> None:
    files = {
        "justfile": "mod test 'tasks/test'\nlint *args:\n    uv run ruff check\n",
        "tasks/test": "default:\n    just --list\nbackend:\n    pytest\n",
    }
    check_finds(tmp_path, files, lint="just lint", test="just test backend")


def test_make_and_just_of_a_folder_with_the_sources(tmp_path: Path) -> None:
    files = {"app/Makefile": "test:\n\tpytest\n", "app/justfile": "lint:\n    ruff check\n"}
    check_finds(tmp_path / "a", files, test="make -C app test", lint="just app/lint")
    check_finds(
        tmp_path / "b",
        files | {"Makefile": "test:\n\ttox\n"},
        test="make test",
        lint="just app/lint",
    )


def test_make_ignores_folders_without_the_main_sources(tmp_path: Path) -> None:
    recipe = "build:\n\tlatex\n"
    check_finds(
        tmp_path,
        {
            "paper/Makefile": recipe,
            "docs/Makefile": recipe,
            "docs/a.py": "",
            "a/b/Makefile": recipe,
        },
    )


def test_invoke(tmp_path: Path) -> None:
    tasks = (
        "from invoke import task\n@task\ndef test(c): c.run('pytest')\n@task(name='lint')\ndef"
        " l(c): ...\n"
    )
    check_finds(tmp_path / "a", {"tasks.py": tasks}, test="inv test", lint="inv lint")
    jobs = "from celery import shared_task as task\n@task\ndef test(): ...\n"
    check_finds(tmp_path / "b", {"tasks.py": jobs, "app/tasks.py": tasks})


def test_nox_and_tox(tmp_path: Path) -> None:
    noxfile = (
        "import nox\n@nox.session\ndef lint(s): ...\n@nox.session(name='tests')\ndef t(s): ...\ndef"
        " build(): ...\n"
    )
    check_finds(
        tmp_path / "nox",
        {"noxfile.py": noxfile},
        lint="nox --session lint",
        test="nox --session tests",
    )
    tox = (
        "[testenv]\ncommands = pytest\n[testenv:mypy]\ncommands = mypy .\n[testenv:docs]\ncommands"
        " = sphinx\n"
    )
    check_finds(tmp_path / "tox", {"tox.ini": tox}, test="tox", typecheck="tox -e mypy")


def test_tox_in_pyproject_says_what_it_runs(tmp_path: Path) -> None:
    pyproject = (
        "[tool.tox.env.style]\ncommands = [['pre-commit', 'run',"
        " '--all-files']]\n[tool.tox.env.docs]\n"
    )
    found = check_finds(tmp_path, {"pyproject.toml": pyproject}, lint="tox -e style")
    assert found.lint and found.lint.runs == "pre-commit run --all-files"


def test_composer_scripts(tmp_path: Path) -> None:
    """`composer check` and others may be composer's own."""
    composer = '{"scripts": {"lint": ["pint --test", "phpcs"], "post-install-cmd": "x"}}'
    found = check_finds(tmp_path, {"composer.json": composer}, lint="composer run lint")
    assert found.lint and found.lint.runs == "pint --test\nphpcs"


def test_task_runners_in_pyproject(tmp_path: Path) -> None:
    pyproject = """
        [tool.poe.tasks]
        lint = "ruff check"
        [tool.poe.tasks.test]
        cmd = "pytest"
        [tool.hatch.envs.types.scripts]
        check-types = "mypy"
        """
    check_finds(
        tmp_path,
        {"pyproject.toml": pyproject},
        lint="poe lint",
        test="poe test",
        typecheck="hatch run types:check-types",
    )


def test_scripts_with_and_without_extension(tmp_path: Path) -> None:
    files = {
        "scripts/lint": "#!/bin/sh\nruff check\n",
        "scripts/check": "#!/bin/sh -e\n${PREFIX}mypy app\n",
        "run_tests.sh": "pytest\n",
        "scripts/build.py": "print()\n",
        "docs/scripts/build": "#!/bin/sh\nmake html\n",
    }
    check_finds(
        tmp_path,
        files,
        lint="sh scripts/lint",
        typecheck="sh scripts/check",
        test="sh run_tests.sh",
    )


def test_console_scripts_of_the_repository_itself(tmp_path: Path) -> None:
    pyproject = {"pyproject.toml": "[project.scripts]\nshop = 'shop:main'\n"}
    ci = "steps:\n  - run: uv run shop test --cov\n  - run: uv run shop build\n"
    ci += "  - run: other lint\n  - run: shop migrate\n"
    check_finds(
        tmp_path / "a", pyproject | {".github/workflows/ci.yml": ci}, test="uv run shop test --cov"
    )
    check_finds(tmp_path / "b", {".github/workflows/ci.yml": ci})


def test_the_build_of_a_second_package_is_not_the_repositorys(tmp_path: Path) -> None:
    ci = {
        ".github/workflows/ci.yml": (
            "jobs:\n  a:\n    defaults:\n      run:\n        working-directory: client\n"
            "    steps:\n      - run: uv build\n"
        )
    }
    client = {"client/pyproject.toml": "[project]\nname = 'c'\n"}
    check_finds(tmp_path / "a", ci | client | {"pyproject.toml": "[project]\nname = 'x'\n"})
    check_finds(tmp_path / "b", ci | client, build="cd client && uv build")


TASKFILE = """
    version: "3"

    vars:
      lint: x

    tasks:
      # -- checks
      default: task --list
      ruff:
        desc: lint
        cmds:
          - poetry run ruff check . {{.CLI_ARGS}}
      mypy:
        cmds:
          - poetry run mypy .
      "test":
        deps: [up]
        cmds:
          - task: up
          - poetry run pytest
      build:
        deps: [test]
    """


def test_taskfile(tmp_path: Path) -> None:
    found = check_finds(
        tmp_path / "a",
        {"Taskfile.yml": TASKFILE},
        lint="task ruff",
        typecheck="task mypy",
        test="task test",
    )
    assert found.lint and (found.lint.line, found.lint.runs) == (9, "poetry run ruff check .")
    assert found.test and found.test.runs == "poetry run pytest"
    check_finds(tmp_path / "b", {"Taskfile.yml": "version: '3'\n", "docs/Taskfile.yml": TASKFILE})


def test_package_json_of_a_javascript_project_and_beside_python(tmp_path: Path) -> None:
    package = '{"scripts": {"lint": "eslint .", "test": "jest", "build": "vite build"}}'
    script = {"src/index.js": "f()\n" * 400, "package.json": package, "pnpm-lock.yaml": ""}
    check_finds(tmp_path / "js", script, lint="pnpm lint", test="pnpm test", build="pnpm build")
    beside = {"ui/package.json": package, "ui/index.js": "f()\n" * 20}
    check_finds(tmp_path / "py", beside, build="npm --prefix ui run build")
    root = {"package.json": package}
    check_finds(tmp_path / "top", root, lint="npm run lint", test="npm test", build="npm run build")
    check_finds(tmp_path / "small", {"ui/package.json": package})
    named = {
        "src/index.js": "f()\n" * 400,
        "package.json": '{"scripts": {"build:production": "x", "build:e2e": "y"}}',
    }
    check_finds(tmp_path / "named", named, build="npm run build:production")
    absent = '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'
    check_finds(tmp_path / "none", {"src/index.js": "f()\n" * 400, "package.json": absent})


def test_scripts_that_call_scripts(tmp_path: Path) -> None:
    scripts = (
        '"lint": "yarn tsc && yarn eslint", "tsc": "tsc -b", "eslint": "eslint .", "production":'
        ' "mix -p"'
    )
    files = {
        "src/index.js": "f()\n" * 400,
        "package.json": f'{{"scripts": {{{scripts}}}}}',
        "yarn.lock": "",
    }
    check_finds(
        tmp_path / "a", files, lint="yarn lint", typecheck="yarn lint", build="yarn production"
    )
    loop = {"package.json": '{"scripts": {"lint": "npm run x", "x": "npm run lint"}}'}
    check_finds(tmp_path / "b", loop, lint="npm run lint")


def test_trunk(tmp_path: Path) -> None:
    check_finds(
        tmp_path / "a",
        {".trunk/trunk.yaml": "version: 0.1\nlint:\n  enabled: []\n"},
        lint="trunk check --all",
    )
    check_finds(tmp_path / "b", {".trunk/trunk.yaml": "version: 0.1\nactions: {}\n"})


def test_a_hook_says_what_it_runs(tmp_path: Path) -> None:
    hooks = (
        "repos:\n- repo: x\n  hooks:\n  - id: mypy\n    args: [--strict]\n  - id: y\n    args:"
        " [--no]\n"
    )
    found = check_finds(
        tmp_path, {".pre-commit-config.yaml": hooks}, typecheck="pre-commit run mypy --all-files"
    )
    assert found.typecheck and found.typecheck.runs == "mypy\n[--strict]"


def test_nothing_declared_is_nothing_found(tmp_path: Path) -> None:
    check_finds(
        tmp_path,
        {
            "tests/test_a.py": "def test(): ...\n",
            "pytest.ini": "[pytest]\n",
            "mypy.ini": "[mypy]\n",
        },
    )


def test_broken_files_declare_nothing(tmp_path: Path) -> None:
    broken = {
        "package.json": "{",
        "pyproject.toml": "[",
        "noxfile.py": "def (",
        "tox.ini": "x\n[",
        "justfile": "mod test\n",
    }
    files = broken | {
        "Makefile": "include Makefile\n:\n\t\n$(",
        ".github/workflows/ci.yml": ":\n- - -\n",
    }
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
        ("docker-compose exec -T app coverage run", "test"),
        ("coverage run --source=shop manage.py test", "test"),
        ("coverage run manage.py runserver", None),
        ("bin/rails db:test:prepare test", "test"),
        ("bundle exec rails db:migrate", None),
        ("./gradlew check", "test"),
        ("SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct) python -m build", "build"),
        ("docker compose run --rm lint", "lint"),
        ("docker compose -f ci.yml run --rm test", "test"),
        ("docker compose run --rm web", None),
        ("docker compose up test", None),
        ("./gradlew detekt", "lint"),
        ("./mvnw -B verify", "test"),
        ("./mvnw spotless:check", "lint"),
        ("./mvnw spotless:apply", None),
        ("bundle exec rake", "test"),
        ("bundle exec rake db:migrate", None),
        ("cargo fmt --all -- --check", "lint"),
        ("cargo fmt", None),
        ("dotnet format --verify-no-changes", "lint"),
        ("dotnet format", None),
        ("docker compose run --rm -e A=b web pytest", "test"),
        ("docker compose run -e pytest web bash", None),
        ("./gradlew test --tests OneTest", None),
        ("uv run python manage.py tailwind build", "build"),
        ("ruff check --fix .", None),
        ("ruff check --fixable ALL .", "lint"),
        ("eslint src --fix", None),
        ("prettier --write .", None),
        ("bundle exec rubocop -a", None),
        ("bundle exec rails test:prepare", None),
        ("bundle exec rails test:system", "test"),
        ("", None),
    ],
)
def test_purposes(command: str, expected: str | None) -> None:
    assert find_purpose(command) == expected
