"""Which commands a CI declares that others can run as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from surveying import check_finds, commands_of

from skillrun.repo.shell import find_purpose


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


def test_a_jobs_working_directory_ends_with_the_job(tmp_path: Path) -> None:
    ci = (
        "jobs:\n  a:\n    defaults:\n      run:\n        working-directory: app\n    steps:\n     "
        " - run: pytest\n  b:\n    steps:\n      - run: mypy .\n"
    )
    check_finds(
        tmp_path, {".github/workflows/ci.yml": ci}, test="cd app && pytest", typecheck="mypy ."
    )


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
        assert find_purpose(repeated + "!") is None
    block = "  defaults:\n    run:\n      working-directory: a\n"
    found = commands_of(
        tmp_path, {".github/workflows/ci.yml": "jobs:\n" + block * 10_000 + "  - run: pytest\n"}
    )
    assert found.test is not None


@pytest.mark.parametrize(
    ("path", "text"),
    (
        (
            "azure-pipelines.yml",
            "steps:\n  - script: pytest\n    workingDirectory: backend\n",
        ),
        (
            ".circleci/config.yml",
            "jobs:\n  test:\n    steps:\n      - run:\n          working_directory: backend\n"
            "          command: pytest\n",
        ),
        (".gitlab-ci.yml", "test:\n  before_script:\n    - cd backend\n  script:\n    - pytest\n"),
        (".gitlab-ci.yml", "test:\n  script:\n    - cd $CI_PROJECT_DIR/backend\n    - pytest\n"),
        (".gitlab-ci.yml", 'test:\n  script:\n    - cd "backend"\n    - pytest\n'),
        (".gitlab-ci.yml", "test:\n  script:\n    - (cd backend && pytest)\n"),
    ),
    ids=("Azure", "CircleCI", "before_script", "the checkout", "quoted", "in brackets"),
)
def test_the_folder_in_which_a_command_runs(tmp_path: Path, path: str, text: str) -> None:
    check_finds(tmp_path, {path: text}, test="cd backend && pytest")


def test_who_goes_back_is_back(tmp_path: Path) -> None:
    text = "test:\n  script:\n    - pushd front\n    - npm ci\n    - popd\n    - (cd x && ls)\n    - pytest\n"
    check_finds(tmp_path, {".gitlab-ci.yml": text}, test="pytest")
