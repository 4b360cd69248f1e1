"""`doctor` holds the skills of a repository against skills-lock.json."""

from __future__ import annotations

import json
import random
import shutil
import string
import subprocess
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.agents.doctor.check import Check
from skillrun.agents.doctor.skills_lock import LOCK, hash_folder, lock_checks

SKILL = ".agents/skills/notes"
FILES = {"SKILL.md": "---\nname: notes\n---\n", "references/a.md": "a\n", "Zoo.txt": "z\n"}
# What the `skills` command line does: the files by localeCompare, path then content of each.
NODE = """
const fs = require("fs"), path = require("path"), crypto = require("crypto");
const files = [];
const walk = (at) => fs.readdirSync(at, { withFileTypes: true }).forEach((entry) => {
  const there = path.join(at, entry.name);
  if (entry.isDirectory()) walk(there);
  else if (entry.isFile()) files.push(path.relative(process.argv[1], there));
});
walk(process.argv[1]);
files.sort((a, b) => a.localeCompare(b));
const hash = crypto.createHash("sha256");
for (const file of files) {
  hash.update(file);
  hash.update(fs.readFileSync(path.join(process.argv[1], file)));
}
console.log(hash.digest("hex"));
"""


def build(root: Path, files: dict[str, str], lock: Any = None) -> Path:
    """A repository with a skill, and a lock that fits it where none is given."""
    repo = helpers.build_tree(root, {f"{SKILL}/{name}": text for name, text in files.items()})
    if lock is None:
        entry = {"source": "house/skills", "sourceType": "github"}
        entry["computedHash"] = hash_folder(repo / SKILL)
        lock = {"version": 1, "skills": {"notes": entry}}
    (repo / LOCK).write_text(json.dumps(lock))
    return repo


def levels(repo: Path) -> list[str]:
    return [check.level for check in lock_checks(repo)]


def test_a_skill_that_is_what_was_locked(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", FILES)
    assert levels(repo) == ["ok"]
    (repo / LOCK).unlink()
    assert levels(repo) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda skill: (skill / "SKILL.md").write_text("other\n"),
        lambda skill: (skill / "more.md").write_text("more\n"),
        lambda skill: (skill / "Zoo.txt").unlink(),
        lambda skill: (skill / "Zoo.txt").rename(skill / "Zoo.md"),
    ],
)
def test_a_skill_that_was_changed_is_a_problem(tmp_path: Path, change: Any) -> None:
    repo = build(tmp_path / "repo", FILES)
    change(repo / SKILL)
    (check,) = lock_checks(repo)
    assert (check.level, f"{SKILL} is not what" in check.text) == ("problem", True)
    done = helpers.run_cli("doctor", "--repo", repo, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{SKILL} is not what {LOCK} says" in done.stdout


def test_what_is_not_there_or_cannot_be_compared_is_a_note(tmp_path: Path) -> None:
    repo = build(tmp_path / "gone", FILES)
    shutil.rmtree(repo / SKILL)
    assert levels(repo) == ["note"]
    lock = {"version": 1, "skills": {"notes": {"computedHash": "x"}}}
    assert levels(build(tmp_path / "letters", {"é.md": "e"}, lock)) == ["note"]


def test_a_folder_that_is_a_link_counts_where_it_leads_to_one_that_was_compared(
    tmp_path: Path,
) -> None:
    repo = build(tmp_path / "repo", FILES)
    (repo / ".claude").mkdir()
    (repo / ".claude/skills").symlink_to("../.agents/skills")
    assert levels(repo) == ["ok"]
    (repo / ".claude/skills").unlink()
    (repo / ".claude/skills").mkdir()
    link = repo / ".claude/skills/notes"
    link.symlink_to("../../.agents/skills/notes")
    assert levels(repo) == ["ok"]
    other = helpers.build_tree(tmp_path / "other", {"SKILL.md": "other\n"})
    for target in (str(other), "../../nowhere"):
        link.unlink()
        link.symlink_to(target)
        assert sorted(levels(repo)) == ["ok", "problem"]


def test_a_locked_skill_that_is_a_link_alone_is_a_problem(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", FILES)
    (repo / SKILL).rename(repo / "elsewhere")
    (repo / SKILL).symlink_to("../../elsewhere")
    assert levels(repo) == ["problem"]


@pytest.mark.parametrize("name", ["linked.md", "linked", ".git", "node_modules", "a/node_modules"])
def test_what_the_lock_leaves_out_of_a_skill_is_a_note(tmp_path: Path, name: str) -> None:
    repo = build(tmp_path / "repo", FILES)
    place = repo / SKILL / name
    place.parent.mkdir(exist_ok=True)
    if name.startswith("linked"):
        place.symlink_to(tmp_path)
    else:
        place.mkdir()
        (place / "run.sh").write_text("echo\n")
    checks = list(lock_checks(repo))
    assert [check.level for check in checks] == ["ok", "note"]
    assert "not covered by the lock" in checks[1].text


@pytest.mark.parametrize(
    "lock",
    [
        [],
        {"version": 2, "skills": {}},
        {"version": 1},
        {"version": 1, "skills": {"notes": {}}},
        {"version": 1, "skills": {"../../etc": {"computedHash": "x"}}},
        {"version": 1, "skills": {"x;id": {"computedHash": "x"}}},
        {"version": 1, "skills": {"--all": {"computedHash": "x"}}},
        {"version": 1, "skills": {"..": {"computedHash": "x"}}},
        {"version": 1, "skills": {"notes\n": {"computedHash": "x"}}},
    ],
)
def test_a_file_that_is_no_lock_is_a_problem(tmp_path: Path, lock: Any) -> None:
    checks: list[Check] = list(lock_checks(build(tmp_path / "repo", FILES, lock)))
    assert [check.level for check in checks] == ["problem"]


@pytest.mark.real
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")
@pytest.mark.parametrize("seed", range(6))
def test_the_hash_is_what_the_skills_command_computes(tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    letters = string.ascii_letters + string.digits + " _-,;!'()[]{}@&#%`^+=~$."
    for _ in range(60):
        words = ("".join(chosen.choices(letters, k=chosen.randint(1, 4))) for _ in range(2))
        path = tmp_path.joinpath("skill", *(f"x{word}x" for word in words))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    command = ["node", "-e", NODE, str(tmp_path / "skill")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert hash_folder(tmp_path / "skill") == said
