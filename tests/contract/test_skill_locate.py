"""Which SKILL.md a name means, and what is never looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.contract.locate import bundled_skill, find_skill, list_skills
from skillrun.core.errors import SkillInvalid

BUNDLED = "job-worker-orchestration"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def repo(tmp_path: Path, home: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    return folder


def put(folder: Path, name: str, layer: str | None = None, at: str | None = None) -> Path:
    file = folder / (at or name) / "SKILL.md"
    file.parent.mkdir(parents=True)
    metadata = f"metadata:\n  layer: {layer}\n" if layer else ""
    file.write_text(f"---\nname: {name}\ndescription: d\n{metadata}---\n## Workflow\n1. Go\n")
    return file


def test_places_are_asked_in_order(repo: Path, home: Path) -> None:
    files = [
        put(root / "skills", BUNDLED)
        for root in (home / ".claude", home / ".agents", repo / ".claude", repo / ".agents")
    ]
    for file in reversed(files):
        assert find_skill(BUNDLED, repo) == file
        file.unlink()
    assert find_skill(BUNDLED, repo) == bundled_skill(BUNDLED)


@pytest.mark.parametrize("name", [BUNDLED, f"backend/{BUNDLED}"])
def test_the_bundled_skill_has_a_name_and_an_id(repo: Path, name: str) -> None:
    assert find_skill(name, repo) == bundled_skill(name)
    assert bundled_skill(name) is not None


def test_a_name_that_is_not_bundled(repo: Path) -> None:
    assert bundled_skill("frontend/" + BUNDLED) is None
    assert bundled_skill("nothing") is None


@pytest.mark.parametrize("at", ["sweep", "ops/sweep", "deep/down/sweep", "other-folder"])
@pytest.mark.parametrize("name", ["sweep", "ops/sweep"])
def test_every_layout_is_found(repo: Path, at: str, name: str) -> None:
    file = put(repo / ".agents" / "skills", "sweep", "ops", at)
    assert find_skill(name, repo) == file


def test_the_layer_tells_two_skills_of_one_name_apart(repo: Path) -> None:
    one = put(repo / ".agents" / "skills", "sweep", "ops", "ops/sweep")
    two = put(repo / ".agents" / "skills", "sweep", "web", "web/sweep")
    assert find_skill("ops/sweep", repo) == one
    assert find_skill("web/sweep", repo) == two


def test_a_path_means_itself(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put(tmp_path / "loose", "sweep", at="seed")
    monkeypatch.chdir(tmp_path)
    assert find_skill(str(file), repo) == file
    assert find_skill(str(file.parent), repo) == file
    assert find_skill("./loose/seed", repo) == Path("loose/seed/SKILL.md")
    assert find_skill("loose/seed", repo) == Path("loose/seed/SKILL.md")
    with pytest.raises(SkillInvalid, match=r"no such SKILL\.md"):
        find_skill("./gone", repo)


def test_an_explicit_path_comes_first(repo: Path, tmp_path: Path) -> None:
    put(repo / ".agents" / "skills", "sweep")
    file = put(tmp_path / "loose", "sweep", "ops", at="seed")
    assert find_skill("sweep", repo, file) == file
    assert find_skill("ops/sweep", repo, file.parent) == file
    assert find_skill("sweep", repo, tmp_path / "loose") == file
    with pytest.raises(SkillInvalid, match="this is not the skill other"):
        find_skill("other", repo, file)
    with pytest.raises(SkillInvalid, match="no skill other here"):
        find_skill("other", repo, tmp_path / "loose")


def test_an_unknown_name_gets_near_ones(repo: Path) -> None:
    with pytest.raises(SkillInvalid, match="no skill named job-worker-orchestation") as refusal:
        find_skill("job-worker-orchestation", repo)
    assert refusal.value.hint == f"did you mean backend/{BUNDLED}?"
    with pytest.raises(SkillInvalid) as refusal:
        find_skill("zzz", repo)
    assert refusal.value.hint is not None and "skillrun list" in refusal.value.hint


def test_a_name_with_control_characters_is_not_echoed(repo: Path) -> None:
    with pytest.raises(SkillInvalid) as refusal:
        find_skill("a\x1b[31mb", repo)
    assert "\x1b" not in refusal.value.message


def test_links_out_of_the_repository_are_not_followed(repo: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "sweep")
    skills = repo / ".agents" / "skills"
    skills.mkdir(parents=True)
    (skills / "sweep").symlink_to(outside.parent)
    (repo / ".claude").mkdir()
    (repo / ".claude" / "skills").symlink_to(outside.parent.parent)
    with pytest.raises(SkillInvalid, match="no skill named sweep"):
        find_skill("sweep", repo)
    listed = [found for found in list_skills(repo) if found.where == "repo"]
    assert [found.error for found in listed] == [
        "a symlink that leads out of the repository is not followed"
    ]


def test_a_linked_file_that_leads_out_is_not_followed(repo: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "sweep")
    (repo / ".agents" / "skills" / "sweep").mkdir(parents=True)
    (repo / ".agents" / "skills" / "sweep" / "SKILL.md").symlink_to(outside)
    with pytest.raises(SkillInvalid):
        find_skill("sweep", repo)


def test_links_within_the_repository_and_from_home_are_followed(
    repo: Path, home: Path, tmp_path: Path
) -> None:
    file = put(repo / ".agents" / "skills", "sweep")
    (repo / ".claude").mkdir()
    (repo / ".claude" / "skills").symlink_to("../.agents/skills")
    outside = put(tmp_path / "outside", "mop")
    (home / ".claude").mkdir()
    (home / ".claude" / "skills").symlink_to(outside.parent.parent)
    assert find_skill("sweep", repo) == file
    assert find_skill("mop", repo).resolve() == outside
    assert [found.id for found in list_skills(repo)] == [
        "sweep",
        "mop",
        f"backend/{BUNDLED}",
        "skillrun",
    ]


def test_the_list_says_what_is_shadowed_and_what_cannot_be_read(repo: Path, home: Path) -> None:
    put(repo / ".agents" / "skills", BUNDLED, "backend")
    broken = put(home / ".claude" / "skills", "broken")
    broken.write_text("no front-matter")
    found = {(one.where, one.id): one for one in list_skills(repo)}
    assert not found["repo", f"backend/{BUNDLED}"].shadowed
    assert found["bundled", f"backend/{BUNDLED}"].shadowed
    assert "no front-matter" in (found["home", "broken"].error or "")


def test_a_broken_skill_is_found_by_its_folder(repo: Path) -> None:
    file = put(repo / ".agents" / "skills", "sweep")
    file.write_text("no front-matter")
    assert find_skill("sweep", repo) == file


def test_a_ring_of_links_comes_to_an_end(repo: Path) -> None:
    skills = repo / ".agents" / "skills"
    skills.mkdir(parents=True)
    (skills / "again").symlink_to(skills)
    assert {found.where for found in list_skills(repo)} == {"bundled"}


def test_skills_inside_a_skill_are_not_listed(repo: Path) -> None:
    put(repo / ".agents" / "skills", "sweep")
    put(repo / ".agents" / "skills" / "sweep", "inner", at="examples")
    assert [found.id for found in list_skills(repo) if found.where == "repo"] == ["sweep"]


def test_without_a_repository_home_and_bundled_remain(repo: Path, home: Path) -> None:
    put(home / ".agents" / "skills", "sweep")
    assert {found.where for found in list_skills(None)} == {"home", "bundled"}
