"""What of a commit are its tests: the files that can be exchanged for those of another commit while
the application stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from skillrun.repo.git import Repo
from skillrun.repo.places import is_taken_for_tests, is_test
from skillrun.wall.commit import Entry, read_entries, write_entries
from skillrun.wall.diff import Diff, File
from skillrun.wall.sources import CommitSources

# Settings of pytest: what they say about the tests goes with the tests.
_SETTINGS = ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml", "conftest.py")
_SUBMODULE = "160000"


def find_test_side(diff: Diff, paths: frozenset[str], kept: frozenset[str]) -> frozenset[str]:
    """The paths of either commit that belong to its tests. `kept`: what the handlers reach."""
    found = set()
    for path in paths:
        is_settings = path.rpartition("/")[2] in _SETTINGS
        if is_settings or is_test(path) or is_taken_for_tests(path):
            found.add(path)
    found -= kept
    changed = [file for file in diff.python_files() if file.path not in found | kept]
    before = -1
    # One helper may import another.
    while before != len(found):
        before = len(found)
        for file in changed:
            if _serves_tests(file, diff, found):
                found.add(file.path)
    return frozenset(found)


def _serves_tests(file: File, diff: Diff, tests: set[str]) -> bool:
    """Whether tests import a file, and nothing else does."""
    importers = _list_importers(file.path, diff.after) | _list_importers(file.path, diff.before)
    return bool(importers) and importers <= tests


def _list_importers(path: str, sources: CommitSources) -> set[str]:
    """The files with a line that imports something of its name: rather too many than too few."""
    stem = path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")[2]
    line = re.compile(rf"^\s*(from|import)\b.*\b{re.escape(stem)}\b", re.MULTILINE)
    found = set()
    for other in sources.search(stem):
        if other != path and line.search(sources.texts[other]):
            found.add(other)
    return found


def has_changed(old: Mapping[str, Entry], new: Mapping[str, Entry], tests: frozenset[str]) -> bool:
    """Whether the tests of two commits differ."""
    return any(old.get(path) != new.get(path) for path in tests)


def exchange_tests(repo: Repo, root: Path, base: str, head: str, tests: frozenset[str]) -> None:
    """Puts the base's tests into a checkout of HEAD. Raises as `write_entries` does."""
    held = {}
    for path, entry in read_entries(repo.root, base).items():
        if path in tests:
            held[path] = entry
    for path in read_entries(repo.root, head):
        if path in tests:
            (root / path).unlink(missing_ok=True)
    write_entries(repo.root, root, held)


def list_files(
    old: Mapping[str, Entry], new: Mapping[str, Entry], tests: frozenset[str]
) -> tuple[str, ...]:
    """The files of HEAD with the base's tests."""
    found = {path for path, entry in new.items() if entry.mode != _SUBMODULE} - tests
    found |= tests & old.keys()
    return tuple(sorted(found))
