"""Where a commit's tests are run from, and what of them nobody counts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from skillrun.core.opening import read_file
from skillrun.repo.git import git_output
from skillrun.repo.places import is_taken_for_tests

MOST_FOLDERS = 8
_PROJECT = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", "manage.py")
# Files that say that a repository has tests in a language whose runner is not counted.
_OTHERS = {
    "package.json": "JavaScript",
    "go.mod": "Go",
    "Cargo.toml": "Rust",
    "Gemfile": "Ruby",
    "pom.xml": "Java",
    "build.gradle": "Java",
    "build.gradle.kts": "Java",
    "mix.exs": "Elixir",
    "composer.json": "PHP",
}
_SETTINGS_NAMED = re.compile(
    r"setdefault\(\s*['\"]DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)['\"]"
)
_SETTINGS_FILES = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "conftest.py")


def read_paths(root: Path, commit: str) -> frozenset[str]:
    """Every file that a commit holds."""
    listing = git_output(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
    return frozenset(os.fsdecode(name) for name in listing.split(b"\0") if name)


def find_test_folders(paths: frozenset[str]) -> tuple[str, ...]:
    """The projects with Python tests, "" for the repository itself: where its own settings of
    pytest stand.
    """
    found = set()
    for path in paths:
        if path.endswith(".py") and is_taken_for_tests(path):
            found.add(_project_of(path, paths))
    return tuple(sorted(found))


def _project_of(path: str, paths: frozenset[str]) -> str:
    folder = path.rpartition("/")[0]
    while folder and not any(f"{folder}/{name}" in paths for name in _PROJECT):
        folder = folder.rpartition("/")[0]
    return folder


def find_other_languages(paths: Iterable[str]) -> tuple[str, ...]:
    """The languages besides Python whose manifests a commit holds."""
    names = {path.rpartition("/")[2] for path in paths}
    found = set()
    for name, language in _OTHERS.items():
        if name in names:
            found.add(language)
    return tuple(sorted(found))


def find_django_settings(folder: Path) -> str | None:
    """The settings that manage.py names, where pytest-django is not told of others."""
    try:
        found = _SETTINGS_NAMED.search(_read_text(folder / "manage.py"))
    except OSError:
        return None
    if not found:
        return None
    for name in _SETTINGS_FILES:
        if "DJANGO_SETTINGS_MODULE" in _read_text_or_nothing(folder / name):
            return None
    return found[1]


def _read_text_or_nothing(path: Path) -> str:
    try:
        return _read_text(path)
    except OSError:
        return ""


def _read_text(path: Path) -> str:
    """Raises OSError for what is no file: what a commit holds may be a link to anything."""
    return read_file(path).decode("utf-8", "replace")
