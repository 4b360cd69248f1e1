"""pytest imports a test by its bare name, whatever folder it lies in: two of one name are one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import helpers

TESTS = helpers.ROOT / "tests"
# Other people's repositories and examples, which are never collected and have names of their own.
NOT_COLLECTED = (
    "strangers",
    "bug_reports",
    "planted",
    "branches",
    "corpus",
    "data",
    "examples",
    "changelog_entry",
)


def list_modules(folder: Path) -> list[str]:
    """The names by which the files below `folder` are imported while tests run."""
    places = (path.relative_to(folder) for path in folder.rglob("*.py"))
    return [place.stem for place in places if not set(place.parts).intersection(NOT_COLLECTED)]


def list_twice(names: list[str]) -> list[str]:
    """The names that stand there more than once; each folder may have its conftest."""
    return [name for name, times in Counter(names).items() if times > 1 and name != "conftest"]


def test_no_two_modules_of_the_tests_share_a_name() -> None:
    assert list_twice(list_modules(TESTS)) == []


def test_two_of_one_name_are_seen(tmp_path: Path) -> None:
    helpers.build_tree(
        tmp_path,
        {"proof/test_answers.py": "", "stages/test_answers.py": "", "proof/conftest.py": ""},
    )
    assert list_twice(list_modules(tmp_path)) == ["test_answers"]
