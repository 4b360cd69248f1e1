"""Commands that were refused as ones that change files, or need what nothing gives, and do not."""

from __future__ import annotations

import pytest

from skillrun.repo.makefile import just_recipes
from skillrun.repo.shell import changes_files, find_purpose, moved_to, resets_database


@pytest.mark.parametrize(
    ("command", "purpose"),
    [
        *(("pytest pint", "test"), ("mypy pint", "typecheck")),
        *(("djlint . --reformat --check", "lint"), ("ruff check --fix --diff", "lint")),
        *(("pint --test", "lint"), ("./vendor/bin/pint --test", "lint")),
    ],
)
def test_a_command_that_only_compares(command: str, purpose: str) -> None:
    assert not changes_files(command)
    assert find_purpose(command) == purpose


@pytest.mark.parametrize(
    "command", ["pint", "vendor/bin/pint", "./vendor/bin/pint app", "sail pint", "ruff check --fix"]
)
def test_a_command_that_changes_files(command: str) -> None:
    assert changes_files(command)
    assert find_purpose(command) is None


def test_a_default_of_a_just_recipe_may_hold_blanks() -> None:
    text = 'test args="-x tests -v":\n    pytest {{args}}\nrun suite:\n    pytest {{suite}}\n'
    recipes = just_recipes("justfile", {"justfile": text}.get)
    assert {name: recipe.unset for name, recipe in recipes.items()} == {
        "test": [],
        "run": ["suite"],
    }


@pytest.mark.parametrize(
    "command",
    [
        *("jest -u", "vitest run -u", "pytest --snapshot-update", "pytest --inline-snapshot=fix"),
        *("INSTA_UPDATE=always cargo test", "npx playwright test --update-snapshots"),
        *("golangci-lint fmt", "sqlfluff fix .", "rector process", "codespell -w", "taplo fmt"),
        *("dprint fmt", "deno fmt", "ktlint -F", "dart format .", "ufmt format .", "hatch fmt"),
        *("usort format .", "toml-sort -i pyproject.toml", "go mod tidy", "nbqa black ."),
        *("tox -e format", "poe format", "npm run format", "hatch run lint:fmt"),
        *("ruff format -n src", "pyproject-fmt -n pyproject.toml", "yamlfix -c conf.toml a.yml"),
        *("darker -d .", "isort -n .", "rector -c rector.php", "terraform fmt -diff"),
        *("npm run lint:fix", "make check-fix", "make py-format"),
    ],
)
def test_what_fixes_and_what_writes_snapshots_changes_files(command: str) -> None:
    assert changes_files(command)


@pytest.mark.parametrize(
    "command",
    [
        *("jest", "vitest run", "pytest --inline-snapshot=disable", "docker exec -u root web jest"),
        *("golangci-lint fmt --diff", "sqlfluff lint .", "rector process --dry-run", "codespell"),
        *("taplo fmt --check", "dprint check", "deno fmt --check", "hatch fmt --check"),
        *("dart format --set-exit-if-changed .", "go mod tidy -diff", "tox -e py312", "ktlint"),
        *("isort -c .", "isort src -c", "rector process -n", "golangci-lint fmt -d", "flynt -d ."),
        *("npm run check:format", "make check-format", "poe check-fmt", "tox -e check-format"),
        *("npm run format:check", "hatch run check:fmt", "make verify-format"),
    ],
)
def test_their_neighbours_do_not(command: str) -> None:
    assert not changes_files(command)


@pytest.mark.parametrize(
    "command",
    [
        *("alembic downgrade base", "flask db downgrade base", "manage.py migrate shop zero"),
        *("sqlx database reset -y", "php bin/console doctrine:database:drop --force"),
        *("npx typeorm schema:drop", "npx prisma db push --force-reset", "supabase db reset"),
        *("psql -c 'DROP SCHEMA public CASCADE'", "psql -c 'TRUNCATE orders'"),
        *("redis-cli FLUSHALL", "rm -f db.sqlite3", "dotnet ef database drop -f"),
        *("mysqladmin drop shop", "docker volume rm shop_pg", "dropdb latest", "dropdb contest"),
        *("docker compose rm -fsv", "docker-compose -f a.yml -p shop rm --force -v db"),
        *("docker compose down -v", "docker compose --profile all down --volumes"),
        *(
            "docker compose -f a.yml -f 'b c.yml' --verbose down --rmi all -v",
            "rm -f -v shop.sqlite",
        ),
    ],
)
def test_what_throws_a_database_away(command: str) -> None:
    assert resets_database(command)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "alembic upgrade head",
            "flask db upgrade",
            "manage.py migrate shop",
            "sqlx database setup",
        ),
        *("psql -c 'SELECT 1'", "redis-cli ping", "rm -rf build", "truncate -s 0 app.log"),
        *("dropdb shop_test", "RAILS_ENV=test rake db:reset", "rm -f tests/db.sqlite3"),
        *("docker volume create shop_pg", "docker compose rm -f web", "docker compose down"),
        *("docker compose run --rm app pytest -v", "docker-compose run --rm web pytest -vv"),
        *("docker compose run --rm -v $PWD:/app app pytest", "docker compose exec app ./down -v"),
        *("docker compose -f a.yml exec -T down pytest -v", "docker compose down --timeout 5"),
        "docker run --rm -v ./db.sqlite3:/app/db.sqlite3 app pytest",
    ],
)
def test_what_keeps_it_or_is_of_tests(command: str) -> None:
    assert not resets_database(command)


@pytest.mark.parametrize(
    ("before", "command", "after"),
    [
        ("", "cd backend", "backend"),
        ("", 'cd "backend"', "backend"),
        ("web", "cd $GITHUB_WORKSPACE/backend", "backend"),
        ("web", "cd ../backend && pip install .", "backend"),
        ("backend", "popd", ""),
        ("backend", "pytest", "backend"),
    ],
)
def test_where_the_next_line_runs(before: str, command: str, after: str) -> None:
    assert moved_to(before, command) == after
