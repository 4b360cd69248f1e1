"""Commands that were refused as ones that change files, or need what nothing gives, and do not."""

from __future__ import annotations

import pytest

from skillrun.repo.makefile import just_recipes
from skillrun.repo.shell import changes_files, find_purpose


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
