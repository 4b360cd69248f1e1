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


def test_a_linter_that_checks_types(tmp_path: Path) -> None:
    hatch = '[tool.hatch.envs.default.scripts]\nlint-check = ["ruff check", "mypy app/"]\n'
    check_finds(
        tmp_path / "a",
        {"pyproject.toml": hatch},
        lint="hatch run lint-check",
        typecheck="hatch run lint-check",
    )
    ci = {".github/workflows/ci.yml": "steps:\n  - run: mypy app\n"}
    check_finds(
        tmp_path / "b",
        {"pyproject.toml": hatch} | ci,
        lint="hatch run lint-check",
        typecheck="mypy app",
    )


def test_a_linter_that_checks_no_types_and_a_build_that_does(tmp_path: Path) -> None:
    make = "lint:\n\truff check && echo mypy\nbuild:\n\tmypy app && python -m build\n"
    check_finds(tmp_path, {"Makefile": make}, lint="make lint", build="make build")


def test_a_recipe_that_only_checks_comes_before_one_that_mends(tmp_path: Path) -> None:
    make = "fix:\n\truff check --fix\nquality:\n\truff check\n"
    check_finds(tmp_path, {"Makefile": make}, lint="make quality")


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
    check_finds(
        tmp_path / "gh",
        {".github/workflows/ci.yml": github},
        lint="ruff check .",
        test="cd backend && coverage run -m pytest tests",
        build="cd front && npm run build",
    )
    gitlab = (
        "test:\n  script:\n    - pip install tox\n    - poetry run pytest -q\n    - 'mypy src'\n"
    )
    check_finds(
        tmp_path / "gl",
        {".gitlab-ci.yml": gitlab},
        test="poetry run pytest -q",
        typecheck="mypy src",
    )


def test_ci_commands_that_only_ci_can_run_are_no_commands(tmp_path: Path) -> None:
    ci = (
        "env:\n  test: pytest\njobs:\n  a:\n    steps:\n      - run: tox -e ${{ matrix.env }}\n    "
        "  # - run: pytest\n"
    )
    check_finds(tmp_path, {".github/workflows/ci.yml": ci})


def test_ci_knows_the_plain_variables_of_its_file(tmp_path: Path) -> None:
    ci = 'env:\n  CARGO: cargo\n  FLAGS: ""\njobs:\n  a:\n    steps:\n'
    ci += "      - run: ${{ env.CARGO }} test ${{ env.FLAGS }}\n"
    check_finds(tmp_path / "a", {".github/workflows/ci.yml": ci}, test="cargo test")
    two = ci + "      - env:\n          CARGO: cross\n        run: ${{ env.CARGO }} build\n"
    check_finds(tmp_path / "b", {".github/workflows/ci.yml": two})


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


def test_a_jobs_working_directory_ends_with_the_job(tmp_path: Path) -> None:
    ci = (
        "jobs:\n  a:\n    defaults:\n      run:\n        working-directory: app\n    steps:\n     "
        " - run: pytest\n  b:\n    steps:\n      - run: mypy .\n"
    )
    check_finds(
        tmp_path, {".github/workflows/ci.yml": ci}, test="cd app && pytest", typecheck="mypy ."
    )


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


def test_a_build_that_tests(tmp_path: Path) -> None:
    ci = ".github/workflows/ci.yml"
    check_finds(
        tmp_path / "a",
        {ci: "steps:\n  - run: ./gradlew build\n"},
        build="./gradlew build",
        test="./gradlew build",
    )
    check_finds(
        tmp_path / "b",
        {ci: "steps:\n  - run: ./gradlew build -x test\n"},
        build="./gradlew build -x test",
    )


def test_all_tests_come_before_some(tmp_path: Path) -> None:
    ci = (
        "steps:\n  - run: pytest ./tools\n  - run: pytest -k 'not slow' tests\n  - run: pytest"
        " --cov tests\n"
    )
    check_finds(tmp_path / "a", {".github/workflows/ci.yml": ci}, test="pytest --cov tests")
    check_finds(
        tmp_path / "b",
        {".github/workflows/ci.yml": "steps:\n  - run: pytest app\n"},
        test="pytest app",
    )


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


def test_notes_for_people_come_last(tmp_path: Path) -> None:
    notes = {
        "CONTRIBUTING.md": "Run\n\n```sh\npoetry run pytest\n```\n",
        "README.md": "```sh\nmypy .\n```\n",
    }
    some = {"CLAUDE.md": "One test: `pytest tests/test_a.py`, one app: `pytest shop/cart/tests/`\n"}
    check_finds(tmp_path / "c", some)
    check_finds(tmp_path / "a", notes, test="poetry run pytest")
    check_finds(tmp_path / "b", notes | {"Makefile": "test:\n\tpytest\n"}, test="make test")


def test_pre_commit_comes_after_ci_and_agent_notes_come_last(tmp_path: Path) -> None:
    hooks = "repos:\n- repo: x\n  hooks:\n  - id: ruff\n  - id: mypy\n"
    notes = (
        "Run `uv run pytest -q` and `ruff check <files>`; `pytest` is used.\n```sh\nuv build  #"
        " wheel\n```\n"
    )
    files = {".pre-commit-config.yaml": hooks, "AGENTS.md": notes}
    check_finds(
        tmp_path / "a",
        files,
        lint="pre-commit run --all-files",
        typecheck="pre-commit run mypy --all-files",
        test="uv run pytest -q",
        build="uv build",
    )
    ci = {".github/workflows/ci.yml": "steps:\n  - run: mypy app\n"}
    assert commands_of(tmp_path / "b", files | ci).typecheck == CommandLike("mypy app")


class CommandLike:
    """Equal to any fact with this command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __eq__(self, other: object) -> bool:
        return getattr(other, "command", None) == self.command


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
    assert purpose(command) == expected


def test_a_lint_that_mends_comes_after_one_that_checks(tmp_path: Path) -> None:
    """But where nothing else is declared, it is what the repository calls its lint."""
    make = {"Makefile": "lint:\n\truff check --fix .\n"}
    check_finds(tmp_path / "alone", make, lint="make lint")
    ci = {".github/workflows/ci.yml": "steps:\n  - run: ruff check .\n"}
    check_finds(tmp_path / "beside", make | ci, lint="ruff check .")
    mending = {".github/workflows/ci.yml": "steps:\n  - run: ruff check --fix .\n"}
    check_finds(tmp_path / "in CI", mending)


RESETS = {
    "Rails": "test:\n\tbin/rails db:reset\n\tbin/rails test\n",
    "compose": "test:\n\tdocker compose down -v\n\tdocker compose run --rm web pytest\n",
    "Laravel": "test:\n\tphp artisan migrate:fresh\n\tvendor/bin/phpunit\n",
    "Django": "test:\n\tpython manage.py flush --no-input\n\tpytest\n",
    "PostgreSQL": "test:\n\tdropdb shop\n\tcreatedb shop\n\tpytest\n",
}
KEEPS = {
    "Rails": "test:\n\tRAILS_ENV=test bin/rails db:reset\n\tbin/rails test\n",
    "compose": "test:\n\tdocker compose down\n\tdocker compose run --rm web pytest\n",
    "Laravel": "test:\n\tphp artisan migrate\n\tvendor/bin/phpunit\n",
    "Django": "test:\n\tpython manage.py migrate --no-input\n\tpytest\n",
    "PostgreSQL": "test:\n\tdropdb shop_test\n\tcreatedb shop_test\n\tpytest\n",
}


@pytest.mark.parametrize("name", RESETS)
def test_a_command_that_resets_a_database_is_not_taken(tmp_path: Path, name: str) -> None:
    check_finds(tmp_path / "resets", {"Makefile": RESETS[name]})
    check_finds(tmp_path / "keeps", {"Makefile": KEEPS[name]}, test="make test")


def test_a_command_that_needs_a_variable_of_the_ci_is_not_taken(tmp_path: Path) -> None:
    ci = "jobs:\n  a:\n    steps:\n      - run: pytest --shard $SHARD\n"
    check_finds(tmp_path / "unset", {".github/workflows/ci.yml": ci})
    known = "env:\n  SHARD: all\n" + ci
    check_finds(tmp_path / "set", {".github/workflows/ci.yml": known}, test="pytest --shard all")
    own = ci.replace("$SHARD", "${SHARD:-all}")
    check_finds(
        tmp_path / "default", {".github/workflows/ci.yml": own}, test="pytest --shard ${SHARD:-all}"
    )


def test_the_interpreter_that_the_ci_picks_is_no_part_of_a_command(tmp_path: Path) -> None:
    for name, picked in (("shell", '"${PYTHON_VERSION}"'), ("matrix", "${{ matrix.python }}")):
        ci = f"jobs:\n  a:\n    steps:\n      - run: uv run --python {picked} --dev pytest\n"
        files = {".github/workflows/ci.yml": ci}
        check_finds(tmp_path / name, files, test="uv run --dev pytest")
    chosen = "jobs:\n  a:\n    steps:\n      - run: uv run --python 3.12 pytest\n"
    check_finds(
        tmp_path / "written",
        {".github/workflows/ci.yml": chosen},
        test="uv run --python 3.12 pytest",
    )


def test_the_commands_of_another_package_are_not_taken(tmp_path: Path) -> None:
    own = {"pyproject.toml": "[project]\nname = 'shop'\n"}
    client = {"client/pyproject.toml": "[project]\nname = 'client'\n"}
    ci = {
        ".github/workflows/ci.yml": (
            "jobs:\n  a:\n    steps:\n      - run: pytest\n        working-directory: client\n"
            "      - run: cd client && mypy .\n"
        )
    }
    check_finds(tmp_path / "beside", ci | own | client)
    check_finds(
        tmp_path / "alone", ci | client, test="cd client && pytest", typecheck="cd client && mypy ."
    )


def test_a_command_keeps_the_folder_that_a_line_above_went_to(tmp_path: Path) -> None:
    ci = (
        "jobs:\n  a:\n    steps:\n      - run: |\n          cd backend && pip install -e .\n"
        "          pytest\n      - run: mypy .\n"
    )
    check_finds(
        tmp_path / "ci",
        {".github/workflows/ci.yml": ci},
        test="cd backend && pytest",
        typecheck="mypy .",
    )
    notes = "```sh\ncd backend\npytest tests\ncd ..\nmypy .\n```\nand `ruff check .`\n"
    check_finds(
        tmp_path / "notes",
        {"AGENTS.md": notes},
        test="cd backend && pytest tests",
        typecheck="mypy .",
        lint="ruff check .",
    )


def test_a_folder_of_the_next_job_is_not_the_steps(tmp_path: Path) -> None:
    ci = (
        "jobs:\n  back:\n    steps:\n      - name: Tests\n        run: pytest -q\n  front:\n"
        "    defaults:\n      run:\n        working-directory: react\n    steps:\n      - run: ls\n"
    )
    check_finds(tmp_path, {".github/workflows/ci.yml": ci}, test="pytest -q")


def test_hostile_commands_and_ci_cost_no_time(tmp_path: Path) -> None:
    """The time grows with the length alone: no power of it, no square."""
    for repeated in (
        "docker compose run " + "-e " * 300,
        "uv run " + "--group " * 300,
        "docker compose " + "-f " * 300,
    ):
        assert purpose(repeated + "!") is None
    block = "  defaults:\n    run:\n      working-directory: a\n"
    found = commands_of(
        tmp_path, {".github/workflows/ci.yml": "jobs:\n" + block * 10_000 + "  - run: pytest\n"}
    )
    assert found.test is not None
