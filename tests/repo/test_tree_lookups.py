"""The look-ups of a tree: what they answer, how they are recorded, repeated and compared."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest

from skillrun.repo.tree import Lookup, Tree, name_differences

MakeRepo = Callable[..., Path]


def test_files_are_tracked_or_untracked_and_regular(make_repo: MakeRepo, tmp_path: Path) -> None:
    root = make_repo(
        {"a.py": "1", "gone": "1", ".gitignore": "ignored\n", "folder/b": "1", "real/c": "1"}
    )
    helpers.write_files(root, {"untracked": "1", "ignored": "1"})
    helpers.write_files(tmp_path / "outside", {"c": "secret"})
    (root / "gone").unlink()
    (root / "link").symlink_to("a.py")
    (root / "loop").symlink_to(".")
    os.mkfifo(root / "pipe")
    (root / "real/c").unlink()
    (root / "real").rmdir()
    (root / "real").symlink_to(tmp_path / "outside")
    assert Tree(root).files == (".gitignore", "a.py", "folder/b", "untracked")
    assert Tree(root).read("real/c") is None


def test_a_submodule_and_a_nested_repository_are_no_files(
    make_repo: MakeRepo, tmp_path: Path
) -> None:
    make_repo({"x": "1"}, name="inner")
    root = make_repo({"a": "1"})
    helpers.git(root, "submodule", "add", "--quiet", str(tmp_path / "inner"), "sub")
    helpers.build_tree(root / "nested", {"y": "1"})
    assert Tree(root).files == (".gitmodules", "a")


def test_a_name_that_is_no_utf8(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    name = os.fsdecode(b"caf\xe9.py")
    (root / name).write_text("word = 1")
    tree = Tree(root)
    assert name in tree.files
    with tree.recording() as lookups:
        assert tree.search("word") == (name,)
    stored = json.loads(json.dumps(lookups.as_json()))
    assert Lookup.from_json(stored[0]) == next(iter(lookups))
    assert len(tree.key) == 64


def test_the_key_changes_with_every_kind_of_change(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1", "b": "1"})
    keys = {Tree(root).key}
    assert Tree(root).key in keys
    changes: list[Callable[[], object]] = [
        lambda: (root / "a").write_text("22"),
        lambda: os.utime(root / "b", (1, 1)),
        lambda: (root / "b").rename(root / "c"),
        lambda: (root / "a").unlink(),
    ]
    for number, change in enumerate(changes, 2):
        change()
        keys.add(Tree(root).key)
        assert len(keys) == number


def test_an_edit_of_the_same_size_and_time_changes_the_key(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    before, seen = Tree(root).key, (root / "a").stat()
    time.sleep(0.02)
    (root / "a").write_text("2")
    os.utime(root / "a", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert Tree(root).key != before


def test_search_is_for_whole_words_in_files_of_a_suffix(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "send(x)", "b.py": "resend(x)", "c.txt": "send", "d.py": "x.send"})
    (root / "big.py").write_bytes(b"send " + b"x" * (1024 * 1024))
    tree = Tree(root)
    assert tree.search("send") == ("a.py", "d.py")
    assert tree.search("send", ".txt") == ("c.txt",)


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "x/b.py", "x/y/c.py"]),
        ("x/*.py", ["x/b.py"]),
        ("x/**", ["x/b.py", "x/y/c.py"]),
        ("?.py", ["a.py"]),
        ("[a].py", []),
    ],
)
def test_globs(make_repo: MakeRepo, glob: str, found: list[str]) -> None:
    assert list(Tree(make_repo({"a.py": "", "x/b.py": "", "x/y/c.py": ""})).match(glob)) == found


def test_look_ups_join_every_open_recording_and_come_once(make_repo: MakeRepo) -> None:
    tree = Tree(make_repo({"a": "1", "b": "1"}))
    tree.read("a")
    with tree.recording() as outer:
        tree.read("a")
        with tree.recording() as inner:
            tree.read("b")
            tree.read("b")
            tree.read("absent")
        tree.match("*")
    assert [lookup.name for lookup in inner] == ["b", "absent"]
    assert [lookup.name for lookup in outer] == ["a", "b", "absent", "*"]
    assert outer.files.keys() == {"a", "b"}


def test_a_look_up_that_found_nothing_has_a_digest_that_changes(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "x"})
    tree = Tree(root)
    with tree.recording() as lookups:
        tree.read("new.py")
        tree.search("word")
        tree.match("tests/*.py")
    assert all(lookup.digest and not lookup.files for lookup in lookups)
    helpers.write_files(root, {"new.py": "word", "tests/t.py": ""})
    later = Tree(root)
    assert [name_differences(lookup, later.repeat(lookup)) for lookup in lookups] == [
        ("new.py",),
        ("new.py",),
        ("tests/t.py",),
    ]


def test_only_the_file_look_up_depends_on_content(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "word"})
    tree = Tree(root)
    with tree.recording() as lookups:
        tree.read("a.py")
        tree.search("word")
        tree.match("*.py")
    (root / "a.py").write_text("word again")
    later = Tree(root)
    assert [name_differences(lookup, later.repeat(lookup)) for lookup in lookups] == [
        ("a.py",),
        (),
        (),
    ]


def test_a_survey_look_up_is_repeated_by_the_survey(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "1"})
    tree = Tree(root)
    with tree.recording() as lookups:
        tree.record_section("framework:celery", {"app": "a.py:app"}, ["a.py"])
    fact = next(iter(lookups))
    assert Tree(root).repeat(fact, survey=lambda _: ({"app": "a.py:app"}, ["a.py"])) == fact
    (root / "a.py").write_text("2")
    gone = Tree(root).repeat(fact, survey=lambda _: (None, []))
    assert name_differences(fact, gone) == ("a.py",)
    assert name_differences(fact, Tree(root).repeat(fact, survey=lambda _: ("else", ["a.py"]))) == (
        "a.py",
    )
    with pytest.raises(ValueError, match="repeated with the survey"):
        tree.repeat(fact)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_reads_as_absent(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": "x"})
    (root / "a.py").chmod(0)
    assert Tree(root).read("a.py") is None


def test_a_file_replaced_by_a_link_or_a_pipe_after_the_listing_is_not_read(
    make_repo: MakeRepo,
) -> None:
    root = make_repo({"a": "1", "b": "1"})
    tree = Tree(root)
    assert tree.files == ("a", "b")
    for name in tree.files:
        (root / name).unlink()
    (root / "a").symlink_to("/etc/hostname")
    os.mkfifo(root / "b")
    assert tree.read("a") is None
    assert not tree.read("b")


def test_a_virtual_environment_is_no_part_of_the_tree(make_repo):
    files = {"app.py": "x = 1\n", "env/lib/site.py": "x = 1\n"}
    assert Tree(make_repo(files)).files == ("app.py", "env/lib/site.py")
    root = make_repo({**files, "env/pyvenv.cfg": "home = /usr/bin\n"})
    assert Tree(root).files == ("app.py",)
    assert Tree(root).search("x") == ("app.py",)
