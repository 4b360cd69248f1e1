"""Consent holds for what was made here; its record is its owner's alone, and who may give it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import helpers
import pytest
from consenting import (
    AGENT,
    PERSON,
    PIPELINE,
    PLAN,
    SCRIPT,
    Person,
    covered,
    edit,
    give,
    pull,
)

from skillrun.core.actor import Actor
from skillrun.core.errors import Blocked, Refused
from skillrun.core.state import state_dir
from skillrun.repo.git import open_repo
from skillrun.validations import consent
from skillrun.validations.consent import CommandPlan, Consent, Gate

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


@pytest.mark.real
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
