"""Which commit a branch is compared with, and what lies in between: real git repositories."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest

from skillrun.core.errors import Refused
from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent
from skillrun.wall.base import find_base
from skillrun.wall.checkout import clean_checkout
from skillrun.wall.diff import committed_specs, read_diff
from skillrun.wall.verify import covers_verification

FILES = {"a.py": "A = 1\n", ".skillrun/jobs/send.yaml": "version: 1\njob: send\n"}
Make = Callable[..., Path]


def grown(repo: Path, name: str = "feature") -> tuple[Path, str]:
    """A branch with a commit of its own, and main with another one; (repository, where they
    parted).
    """
    base = helpers.git(repo, "rev-parse", "HEAD")
    helpers.git(repo, "checkout", "--quiet", "-b", name)
    helpers.write_files(repo, {"a.py": "A = 2\n"})
    helpers.commit(repo, "Ours")
    helpers.git(repo, "checkout", "--quiet", "main")
    helpers.write_files(repo, {"b.py": "B = 1\n"})
    helpers.commit(repo, "Theirs")
    helpers.git(repo, "checkout", "--quiet", name)
    return repo, base


def clone(repo: Path, to: Path, *options: str) -> Path:
    helpers.git(to.parent, "clone", "--quiet", *options, repo.as_uri(), str(to))
    return to


def test_another_branch_is_compared_with_main_where_they_parted(make_repo: Make) -> None:
    repo, base = grown(make_repo(FILES))
    found = find_base(open_repo(repo), None, {})
    assert (found.commit, found.name) == (base, "main")


def test_main_itself_has_no_base(make_repo: Make) -> None:
    found = find_base(open_repo(make_repo(FILES)), None, {})
    assert (found.commit, found.missing) == (None, "no base branch is known")


@pytest.mark.parametrize("variable", ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"))
def test_a_pipeline_says_where_the_request_goes(
    variable: str, make_repo: Make, tmp_path: Path
) -> None:
    repo, base = grown(make_repo(FILES))
    helpers.git(repo, "branch", "release/1", "main")
    copy = clone(repo, tmp_path / "copy")
    found = find_base(open_repo(copy), None, {variable: "release/1"})
    assert (found.commit, found.name) == (base, "origin/release/1")


def test_a_clone_is_compared_with_the_remotes_head(make_repo: Make, tmp_path: Path) -> None:
    repo, base = grown(make_repo(FILES))
    helpers.git(repo, "checkout", "--quiet", "main")
    copy = clone(repo, tmp_path / "copy")
    helpers.git(copy, "checkout", "--quiet", "feature")
    found = find_base(open_repo(copy), None, {})
    assert (found.commit, found.name) == (base, "origin/HEAD")


def test_what_was_named_must_be_there_and_what_was_guessed_need_not(
    make_repo: Make, tmp_path: Path
) -> None:
    repo, _ = grown(make_repo(FILES))
    copy = clone(repo, tmp_path / "copy", "--depth", "1")
    with pytest.raises(Refused, match="origin/main is no commit here") as caught:
        find_base(open_repo(copy), "origin/main", {})
    assert "fetch-depth: 0" in (caught.value.hint or "")
    guessed = find_base(open_repo(copy), None, {"GITHUB_BASE_REF": "main"})
    assert guessed.commit is None
    assert "fetch-depth: 0" in (guessed.hint or "")


def test_histories_without_a_common_commit_are_said(make_repo: Make) -> None:
    repo, _ = grown(make_repo(FILES))
    helpers.git(repo, "checkout", "--quiet", "--orphan", "other")
    helpers.commit(repo, "Alone")
    with pytest.raises(Refused, match="no commit in common"):
        find_base(open_repo(repo), "main", {})


def test_an_option_is_no_branch(make_repo: Make) -> None:
    with pytest.raises(Refused, match="is no commit here"):
        find_base(open_repo(make_repo(FILES)), "--output=x", {})


def test_a_push_to_the_main_branch_is_compared_with_what_was_there_before(
    make_repo: Make, tmp_path: Path
) -> None:
    repo = make_repo(FILES)
    before = helpers.git(repo, "rev-parse", "HEAD")
    helpers.write_files(repo, {"a.py": "A = 2\n"})
    helpers.commit(repo, "Pushed")
    copy = clone(repo, tmp_path / "copy")
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"before": before}))
    on_github = {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}
    for env in (on_github, {"CI_COMMIT_BEFORE_SHA": before}):
        assert find_base(open_repo(copy), None, env).commit == before
        assert find_base(open_repo(repo), None, env).commit == before
    new_branch = {"CI_COMMIT_BEFORE_SHA": "0" * 40}
    assert find_base(open_repo(repo), None, new_branch).missing == "no base branch is known"
    grown(repo)
    assert find_base(open_repo(repo), None, on_github).name == "main"


# -- the diff


def test_the_diff_has_both_sides_and_pairs_what_was_renamed(make_repo: Make) -> None:
    repo = make_repo(
        {**FILES, "old.py": "X = 1\n" * 20, "gone.py": "G = 1\n", "picture.png": b"\x89PNG\0"}
    )
    base = helpers.git(repo, "rev-parse", "HEAD")
    helpers.git(repo, "mv", "old.py", "new name.py")
    (repo / "gone.py").unlink()
    helpers.write_files(
        repo, {"a.py": "A = 2\n", "fresh.py": "F = 1\n", "picture.png": b"\x89PNG\1"}
    )
    diff = read_diff(repo, base, helpers.commit(repo, "Change"))
    sides = {file.path: (file.old_path, file.old, file.new) for file in diff.files}
    assert sides == {
        "a.py": ("a.py", "A = 1\n", "A = 2\n"),
        "fresh.py": ("fresh.py", None, "F = 1\n"),
        "gone.py": ("gone.py", "G = 1\n", None),
        "new name.py": ("old.py", "X = 1\n" * 20, "X = 1\n" * 20),
    }
    assert [(spec.path, spec.old == spec.new) for spec in diff.specs] == [
        (".skillrun/jobs/send.yaml", True)
    ]


def test_lines_of_the_base_are_found_in_head(make_repo: Make) -> None:
    repo = make_repo({"a.py": "1\n2\n3\n4\n5\n"})
    base = helpers.git(repo, "rev-parse", "HEAD")
    helpers.write_files(repo, {"a.py": "0\n1\n2\n4\n5x\n"})
    (file,) = read_diff(repo, base, helpers.commit(repo, "Change")).files
    assert [file.line_of(line) for line in (1, 2, 3, 4, 5)] == [2, 3, 4, 4, 5]
    assert list(file.added_lines()) == [(1, "0"), (5, "5x")]
    assert list(file.removed_lines()) == [(4, "3"), (5, "5")]


@pytest.mark.real
def test_what_is_too_large_or_a_link_is_not_read(make_repo: Make) -> None:
    repo = make_repo({**FILES, "large.py": "x = 1\n" * 400_000})
    base = helpers.git(repo, "rev-parse", "HEAD")
    (repo / "large.py").write_text("x = 2\n")
    (repo / ".skillrun/jobs/send.yaml").unlink()
    (repo / ".skillrun/jobs/send.yaml").symlink_to("/etc/hostname")
    head = helpers.commit(repo, "Change")
    diff = read_diff(repo, base, head)
    assert {file.path: file.old for file in diff.files}["large.py"] is None
    assert {spec.path: spec.new for spec in diff.specs} == {".skillrun/jobs/send.yaml": None}
    assert committed_specs(repo, head) == ()


# -- the clean checkout


def test_an_environment_that_is_a_link_is_linked_where_it_lies(
    make_repo: Make, tmp_path: Path
) -> None:
    """A sandbox shows the clean checkout and the environment, and not the checkout between them."""
    real = tmp_path / "shared"
    real.mkdir()
    repo = make_repo({"a.py": "A = 1\n", ".gitignore": ".venv\n"})
    (repo / ".venv").symlink_to(real)
    opened = open_repo(repo)
    with clean_checkout(opened, opened.head or "") as checkout:
        assert (checkout.root / ".venv").readlink() == real.resolve()


def test_the_checkout_is_clean_has_the_environment_and_is_gone_afterwards(make_repo: Make) -> None:
    repo = make_repo({**FILES, ".gitignore": ".venv/\nenv/\n"})
    helpers.write_files(
        repo, {"a.py": "A = 3\n", "untracked.py": "", ".venv/bin/python": "", "env/bin/python": ""}
    )
    before = {name: os.environ.get(name) for name in ("SKILLRUN_STATE_DIR", "PYTHONPATH", "TMPDIR")}
    opened = open_repo(repo)
    with clean_checkout(
        opened, opened.head or "", ["env/bin/python", "/usr/bin/python3", "../../x/bin/python"]
    ) as checkout:
        assert (checkout.root / "a.py").read_text() == "A = 1\n"
        assert not (checkout.root / "untracked.py").exists()
        assert (checkout.root / ".venv").resolve() == repo / ".venv"
        assert (checkout.root / "env").resolve() == repo / "env"
        assert Path(os.environ["SKILLRUN_STATE_DIR"]).is_relative_to(checkout.root.parent)
        assert list(checkout.ledgers.iterdir()) == []
    assert not checkout.root.parent.exists()
    assert {name: os.environ.get(name) for name in before} == before
    assert (repo / ".venv/bin/python").exists()
    assert helpers.git(repo, "worktree", "list", "--porcelain").count("worktree ") == 1


def test_an_editable_install_of_the_original_does_not_lead_back_to_it(make_repo: Make) -> None:
    repo = make_repo({**FILES, "src/shop/__init__.py": "", ".gitignore": ".venv/\n"})
    record = ".venv/lib/python3.12/site-packages/shop-1.dist-info/direct_url.json"
    url = f'{{"url": "{repo.as_uri()}", "dir_info": {{"editable": true}}}}'
    helpers.write_files(repo, {record: url, ".venv/bin/python": ""})
    opened = open_repo(repo)
    with clean_checkout(opened, opened.head or "") as checkout:
        path = os.environ["PYTHONPATH"].split(os.pathsep)
        assert path[:2] == [str(checkout.root / "src"), str(checkout.root)]


def test_two_checkouts_at_once_have_variables_of_their_own(
    make_repo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one does not lead to the first one's files."""
    repo = make_repo({**FILES, "src/shop/__init__.py": ""})
    monkeypatch.setenv("PYTHONPATH", str(repo / "src"))
    environ = dict(os.environ)
    opened = open_repo(repo)
    with (
        clean_checkout(opened, opened.head or "", environ=environ) as first,
        clean_checkout(opened, opened.head or "", environ=environ) as second,
    ):
        assert first.variables["PYTHONPATH"] == str(first.root / "src")
        assert os.environ["PYTHONPATH"] == second.python_path == str(second.root / "src")
    assert dict(os.environ) == environ


def test_a_sparse_checkout_is_verified_as_a_whole(make_repo: Make) -> None:
    repo = make_repo({**FILES, "one/x.py": "X = 1\n", "two/y.py": "Y = 1\n"})
    helpers.git(repo, "sparse-checkout", "set", "one")
    opened = open_repo(repo)
    with clean_checkout(opened, opened.head or "") as checkout:
        assert (checkout.root / "two/y.py").read_text() == "Y = 1\n"
    assert not (repo / "two/y.py").exists()


def test_a_replaced_commit_shows_what_it_is(make_repo: Make) -> None:
    """`git replace` would let a branch look like another one on the machine where it was made."""
    repo = make_repo(FILES)
    base = helpers.git(repo, "rev-parse", "HEAD")
    helpers.write_files(repo, {"a.py": "A = 2\n"})
    head = helpers.commit(repo, "Change")
    helpers.git(repo, "replace", head, base)
    assert [file.new for file in read_diff(repo, base, head).files] == ["A = 2\n"]


def test_a_folder_that_the_commit_holds_is_not_replaced(make_repo: Make) -> None:
    repo = make_repo({**FILES, "venv/bin/python": "committed\n"})
    helpers.write_files(repo, {"venv/bin/python": "changed\n"})
    opened = open_repo(repo)
    with clean_checkout(opened, opened.head or "") as checkout:
        assert (checkout.root / "venv/bin/python").read_text() == "committed\n"


# -- who may say that HEAD runs


@pytest.mark.parametrize(
    ("env", "counts"),
    [
        ({}, True),
        ({"CI": "true"}, True),
        ({"CLAUDECODE": "1"}, False),
        ({"CLAUDECODE": "1", "CI": "1"}, False),
    ],
)
def test_whose_trust_a_verification_takes(
    make_repo: Make, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], counts: bool
) -> None:
    repo = open_repo(make_repo(FILES))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert covers_verification(repo, trust=True) == counts
    Consent(repo).allow_agents(trust=True)
    assert covers_verification(repo, trust=True)


def test_an_agent_may_have_verified_what_a_person_let_run(
    make_repo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repo(FILES)
    Consent(open_repo(root)).give("terminal")
    monkeypatch.setenv("CLAUDECODE", "1")
    helpers.write_files(root, {"a.py": "A = 9\n"})
    helpers.commit(root, "The agent's")
    assert covers_verification(open_repo(root), trust=True)
    assert covers_verification(open_repo(root), trust=False)
