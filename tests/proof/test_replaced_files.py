"""Files that the repository's tests, or a worker that is watched, have put something else in the
place of: nothing waits, nothing is read without an end, and no error of ours comes of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skillrun.frameworks.broker import NotConfirmed
from skillrun.proof.breaking import runs
from skillrun.proof.confirm.run import Watch
from skillrun.proof.decisions import read_code
from skillrun.proof.fixtures.seen import read_records
from skillrun.proof.scratch import Folders
from skillrun.proof.second_delivery import trial
from skillrun.proof.second_delivery.broken_grammar import ENTERED, MADE, RECORDS
from skillrun.repo import git

_DEEP = "[" * 100_000


def _make_pipe(path: Path) -> None:
    os.mkfifo(path)


def _make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _make_deep(path: Path) -> None:
    path.write_text(_DEEP + "\n")


def _make_garbage(path: Path) -> None:
    path.write_bytes(b"\xff{}\n")


def _make_another_shape(path: Path) -> None:
    path.write_text("[1]\n")


REPLACEMENTS = (_make_pipe, _make_endless, _make_deep, _make_garbage)
replaced = pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda make: make.__name__)
Replace = Callable[[Path], None]


@replaced
def test_what_a_test_of_a_second_delivery_made_of_its_records(
    replace: Replace, tmp_path: Path
) -> None:
    for name in (MADE, ENTERED):
        replace(tmp_path / name)
    made, repeated = trial._count_effects(tmp_path)
    assert not made
    assert not repeated


def test_counts_that_cannot_be_read_are_not_none_that_were_counted(tmp_path: Path) -> None:
    for name in RECORDS:
        (tmp_path / name).touch()
    assert trial.find_unreadable(tmp_path) is None
    with (tmp_path / MADE).open("wb") as large:
        large.truncate(17 * 1024 * 1024)
    assert "larger than" in (trial.find_unreadable(tmp_path) or "")
    (tmp_path / MADE).unlink()
    assert "No such file" in (trial.find_unreadable(tmp_path) or "")


@replaced
def test_what_tests_made_of_the_records_of_a_break(replace: Replace, tmp_path: Path) -> None:
    replace(tmp_path / "records")
    assert {**runs._said(tmp_path / "records")}.keys() <= {""}


@pytest.mark.parametrize(
    "replace", (*REPLACEMENTS, _make_another_shape), ids=lambda make: make.__name__
)
def test_what_a_worker_made_of_its_reports(replace: Replace, tmp_path: Path) -> None:
    replace(tmp_path / "events")
    with pytest.raises(NotConfirmed):
        Watch(tmp_path / "events").read()


def test_a_worker_that_has_reported_nothing_yet(tmp_path: Path) -> None:
    assert not Watch(tmp_path / "events").read()


@pytest.mark.parametrize(
    "line",
    [
        _DEEP,
        '{"event": "delivery"}',
        '{"event": "call", "delivery": 1}',
        '{"event": "ended", "delivery": []}',
        '{"event": "test", "test": 1}',
    ],
    ids=lambda line: line[:40],
)
def test_records_that_tests_wrote_themselves(line: str) -> None:
    assert read_records(f"{line}\n", {}).deliveries == ()


@replaced
def test_a_module_that_is_none(replace: Replace, tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("def settle(order):\n    return order.status\n")
    replace(tmp_path / "odd.py")
    assert [path for path, _tree in read_code(tmp_path, ["status"]).trees] == ["jobs.py"]


def test_a_checkout_whose_git_is_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "git").mkdir()
    _make_pipe(tmp_path / ".git")
    assert not git._leads_to(tmp_path / ".git", tmp_path / "git")


# -- the scratch


def test_nothing_is_written_through_a_link_that_a_delivery_made(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "profile").write_text("theirs")
    place = Folders()
    try:
        (place.scratch / "inner").mkdir()
        (place.scratch / "app.db").write_text("a")
        (place.scratch / "inner" / "profile").write_text("ours")
        place.snapshot()
        (place.scratch / "app.db").unlink()
        (place.scratch / "app.db").symlink_to(outside / "profile")
        (place.scratch / "inner" / "profile").unlink()
        (place.scratch / "inner").rmdir()
        (place.scratch / "inner").symlink_to(outside)
        (place.scratch / "memory").symlink_to("nowhere")
        place.restore()
        assert (outside / "profile").read_text() == "theirs"
        assert not (place.scratch / "app.db").is_symlink()
        assert (place.scratch / "app.db").read_text() == "a"
        assert (place.scratch / "inner" / "profile").read_text() == "ours"
        assert not (place.scratch / "memory").is_symlink()
    finally:
        place.remove()


def test_a_pipe_in_the_place_of_a_file_is_replaced() -> None:
    place = Folders()
    try:
        (place.scratch / "app.db").write_text("a")
        (place.scratch / "folder").mkdir()
        place.snapshot()
        (place.scratch / "app.db").unlink()
        os.mkfifo(place.scratch / "app.db")
        (place.scratch / "folder").rmdir()
        os.mkfifo(place.scratch / "folder")
        place.restore()
        assert (place.scratch / "app.db").read_text() == "a"
        assert (place.scratch / "folder").is_dir()
    finally:
        place.remove()


def test_the_links_of_a_setup_are_kept(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("theirs")
    one, two = Folders(), Folders()
    try:
        (one.scratch / "release").mkdir()
        (one.scratch / "release" / "app.db").write_text("a")
        (one.scratch / "current").symlink_to("release")
        (one.scratch / "app.db").symlink_to(one.scratch / "release" / "app.db")
        (one.scratch / "settings").symlink_to(tmp_path / "outside")
        one.snapshot()
        two.adopt(one)
        for place in (one, two):
            (place.scratch / "app.db").write_text("b")
            (place.scratch / "current").unlink()
            place.restore()
            assert (place.scratch / "current" / "app.db").read_text() == "a"
            assert (place.scratch / "app.db").resolve().is_relative_to(place.scratch.resolve())
            assert (place.scratch / "settings").is_symlink()
    finally:
        one.remove()
        two.remove()
