"""Of several commands for one purpose, which is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from surveying import CommandLike, check_finds, commands_of


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


def test_a_lint_that_mends_is_none(tmp_path: Path) -> None:
    """Whoever validates with it changes the files; what only checks is taken, wherever it stands."""
    make = {"Makefile": "lint:\n\truff check --fix .\n"}
    check_finds(tmp_path / "alone", make)
    ci = {".github/workflows/ci.yml": "steps:\n  - run: ruff check .\n"}
    check_finds(tmp_path / "beside", make | ci, lint="ruff check .")
    mending = {".github/workflows/ci.yml": "steps:\n  - run: ruff check --fix .\n"}
    check_finds(tmp_path / "in CI", mending)
    target = {"Makefile": "lint:\n\truff check --fix .\ncheck-lint:\n\truff check .\n"}
    check_finds(tmp_path / "another target", target, lint="make check-lint")


@pytest.mark.parametrize(
    "recipe",
    [
        *(
            "\n\tblack .\n\tisort .",
            "\n\tblack . && ruff check .",
            "\n\truff format .\n\truff check .",
        ),
        *(
            "\n\tprettier --write .",
            "\n\tgofmt -w .",
            "\n\tbundle exec rubocop -A",
            "\n\tcargo fmt",
        ),
        *("\n\tvendor/bin/phpcbf src", "\n\tmvn spotless:apply", "\n\t./gradlew spotlessApply"),
        *("\n\tnpm run lint:fix", " format\n\truff check .\nformat:\n\tblack ."),
    ],
)
def test_a_recipe_that_formats_is_no_lint(tmp_path: Path, recipe: str) -> None:
    check_finds(tmp_path, {"Makefile": f"lint:{recipe}\n"})


@pytest.mark.parametrize(
    "recipe",
    [
        *("black --check . && isort -c .", "ruff format --check .", "prettier --check ."),
        *("gofmt -l .", "bundle exec rubocop", "cargo fmt --all -- --check", "mvn spotless:check"),
        *("pre-commit run --all-files", "mix format --check-formatted", "npm run lint"),
    ],
)
def test_a_recipe_that_compares_is_a_lint(tmp_path: Path, recipe: str) -> None:
    check_finds(tmp_path, {"Makefile": f"lint:\n\t{recipe}\n"}, lint="make lint")


def test_scripts_and_sessions_that_mend_are_no_lint(tmp_path: Path) -> None:
    package = {"package.json": '{"scripts": {"lint": "eslint . --fix"}}'}
    check_finds(tmp_path / "npm", package)
    deep = '{"scripts": {"lint": "npm run mend", "mend": "prettier --write ."}}'
    check_finds(tmp_path / "called", {"package.json": deep})
    session = "import nox\n@nox.session\ndef lint(session):\n    session.run({})\n"
    for folder, words in (("fix", "'ruff', '--fix'"), ("format", "'black', '.'")):
        check_finds(tmp_path / folder, {"noxfile.py": session.format(words)})
    checks = {"noxfile.py": session.format("'black', '--check', '.'")}
    check_finds(tmp_path / "checks", checks, lint="nox --session lint")


@pytest.mark.parametrize(
    "recipe",
    [
        *("pytest $(SUITE) --host $$DB_HOST", "pytest --host $(HOST)", "$(RUNNER) tests"),
        *("pytest -k $(WORD)", "pytest --url=http://$(HOST)", "docker run -e A=$${KEY} web pytest"),
    ],
)
def test_a_recipe_that_needs_an_unset_variable_is_not_taken(tmp_path: Path, recipe: str) -> None:
    check_finds(tmp_path / "alone", {"Makefile": f"test:\n\t{recipe}\n"})
    needed = {"Makefile": f"test: first\n\tpytest\nfirst:\n\t{recipe}\n"}
    check_finds(tmp_path / "needed first", needed)


@pytest.mark.parametrize(
    "text",
    [
        # Left out, these are empty, and the command means what it says.
        *("test:\n\tpytest $(ARGS)\n", "test:\n\tpytest --tb $(PYTEST_ARGS)\n"),
        *("test:\n\tpytest -v $(SUITE)\n", "test:\n\tpytest --host $${DB_HOST:-localhost}\n"),
        # These are set: above, by the recipe, by every shell, by a file that is not there to read.
        *("HOST ?= a\ntest:\n\tpytest --host $(HOST)\n", "test:\n\tHOST=a; pytest --host $$HOST\n"),
        *("test:\n\tfor d in a b; do pytest $$d; done\n", "test:\n\tcd $$HOME && pytest\n"),
        "include $(BASE)/common.mk\ntest:\n\t$(RUNNER) tests\n",
        "test:\n\t@if [ -z $$CI ]; then echo here; fi\n\tpytest\n",
        # Set in a way that is not read, or written for where they are not.
        "ifeq ($(OS),x)\n  PY = python3\nelse\n  PY = py\nendif\ntest:\n\t$(PY) -m pytest\n",
        "define RUN\npython3 -m pytest\nendef\ntest:\n\t$(RUN) tests\n",
        "test: export PY = python3\ntest:\n\t$(PY) -m pytest\n",
        "export HOST ?= a\ntest:\n\tpytest --host $(HOST)\n",
        "test:\n\tpytest $(or $(path),tests)\n",
        "test:\n\tpytest tests $(if $(k),-k $(k))\n",
        "test:\n\tpytest tests/$(T)\n",
        "test:\n\tpytest | awk '{print $$NF}'\n",
    ],
)
def test_a_recipe_whose_variables_are_set_or_left_out_is_taken(tmp_path: Path, text: str) -> None:
    check_finds(tmp_path, {"Makefile": text}, test="make test")


def test_a_just_recipe_that_asks_for_a_parameter_is_not_taken(tmp_path: Path) -> None:
    check_finds(tmp_path / "asks", {"justfile": "test suite:\n    pytest {{suite}}\n"})
    optional = {"justfile": 'test suite="all" *args:\n    pytest {{suite}}\n'}
    check_finds(tmp_path / "optional", optional, test="just test")


def test_scripts_that_need_an_unset_variable_are_not_taken(tmp_path: Path) -> None:
    package = '{"scripts": {"test": "jest --host $DB_HOST"}}'
    check_finds(tmp_path / "npm", {"package.json": package})
    loop = '{"scripts": {"lint": "for f in a b; do eslint $f; done"}}'
    check_finds(tmp_path / "loop", {"package.json": loop}, lint="npm run lint")
    added = {"scripts/test.sh": '#!/bin/sh\n: "${DIR:=tests}"\npytest $DIR $PYTEST_ARGS\n'}
    check_finds(tmp_path / "added", added, test="sh scripts/test.sh")
    check_finds(tmp_path / "sh", {"scripts/test.sh": "#!/bin/sh\npytest --host $DB_HOST\n"})
    setting = {"scripts/test.sh": "#!/bin/sh\nDB_HOST=a\npytest --host $DB_HOST\n"}
    check_finds(tmp_path / "sets it", setting, test="sh scripts/test.sh")


VITEST = '{"scripts": {"test": "vitest", "lint": "eslint ."}}'


def test_a_recipe_told_by_its_lines_comes_before_a_front_end_beside(tmp_path: Path) -> None:
    """How plain a name is says nothing of how much of the repository it is for."""
    files = {"Makefile": "check:\n\tpytest\nruff-it:\n\truff check .\n", "package.json": VITEST}
    check_finds(tmp_path, files, test="make check", lint="make ruff-it")


def test_a_recipe_for_a_part_comes_after_what_is_named(tmp_path: Path) -> None:
    """Neither the front end's own tests nor a single folder's are the application's."""
    only_web = {"Makefile": "web:\n\tcd web && npm test\n", "package.json": VITEST}
    check_finds(tmp_path / "web", only_web, test="npm test", lint="npm run lint")
    smoke = {"Makefile": "smoke:\n\tpytest smoke/first\n", "package.json": VITEST}
    check_finds(tmp_path / "smoke", smoke, test="npm test", lint="npm run lint")


def test_a_recipe_that_tests_both_halves_is_for_the_whole(tmp_path: Path) -> None:
    both = {"Makefile": "check:\n\tpytest\n\tnpm test\n", "package.json": VITEST}
    check_finds(tmp_path, both, test="make check", lint="npm run lint")


def test_ci_comes_before_a_recipe_told_by_its_lines(tmp_path: Path) -> None:
    files = {
        "Makefile": "check:\n\tpytest\n",
        ".github/workflows/test.yml": "jobs:\n  a:\n    steps:\n      - run: pytest -q\n",
    }
    check_finds(tmp_path, files, test="pytest -q")
