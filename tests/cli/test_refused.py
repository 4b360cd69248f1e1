"""What is refused: exit code 4, one clear line on stderr, and nothing written anywhere."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import fixtures_repos as odd
import helpers
import pytest
import shops

FRONT = b"---\nname: job\ndescription: Jobs.\n---\n"
BODY = b"\n## Workflow\n1) Do it.\n"
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (new, new, b", ".join([b"*%c" % old] * 9))
    for old, new in zip(b"abcdefgh", b"bcdefghi")  # noqa: B905
)
SKILLS: dict[str, tuple[bytes, str]] = {
    "no front-matter": (b"# Skill\n" + BODY, "front-matter"),
    "broken YAML": (b"---\nname: [job\ndescription: x\n---\n" + BODY, "SKILL.md:"),
    "a YAML bomb": (b"---\nname: job\n" + BOMB + b"---\n" + BODY, "alias"),
    "10 MB": (FRONT + b"x" * 10 * 1024 * 1024 + BODY, "MB"),
    "not UTF-8": (b"---\nname: job\ndescription: \xff\xfe\n---\n" + BODY, "UTF-8"),
    "no workflow": (FRONT + b"\n## Inputs\n- One\n", "Workflow"),
    "empty": (b"", "front-matter"),
}
SPEC = "version: 1\njob: send-receipt\n"
SPECS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "wrong types": (
        SPEC.encode() + b"retry: {max_attempts: many}\n",
        "job.yaml:3: retry.max_attempts: ",
    ),
    "unknown keys": (SPEC.encode() + b"colour: red\n", "job.yaml:3: colour"),
    "both key and invariant": (
        SPEC.encode()
        + b"idempotency: {strategy: keyed, key: [a], invariant: {statement: s, guarded_by: g}}\n",
        "job.yaml:3: idempotency",
    ),
    "a list": (b"- version: 1\n", "job.yaml:1"),
    "broken YAML": (b"version: 1\njob: [\n", "job.yaml:"),
    "duplicate keys": (b"version: 1\njob: a\njob: b\n", "job.yaml:3"),
    "a YAML bomb": (SPEC.encode() + BOMB, "alias"),
    "2 MB": (SPEC.encode() + b"# " + b"x" * 2 * 1024 * 1024, "larger"),
    "not UTF-8": (b"version: 1\njob: \xff\n", "UTF-8"),
}


def refused(
    repo: Path, *args: str | Path, says: str, watch: Path | None = None, **options: object
) -> str:
    """The invocation ends with 4, says so without a traceback, prints nothing, and leaves every
    file as it was.
    """
    watched = watch or repo
    before = shops.listing(watched)
    done = helpers.run_cli(*args, cwd=repo, **options)  # type: ignore[arg-type]
    assert done.returncode == 4, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("skillrun: ")
    assert done.stdout == ""
    assert shops.listing(watched) == before
    return done.stderr


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return odd.plain(tmp_path / "repo")


def test_no_such_skill(repo: Path) -> None:
    message = refused(repo, "no-such-skill", says="no skill named no-such-skill")
    assert "do: " in message


@pytest.mark.parametrize("name", SKILLS)
def test_a_skill_that_cannot_be_read(name: str, repo: Path, tmp_path: Path) -> None:
    content, says = SKILLS[name]
    skill = tmp_path / "skills" / "job" / "SKILL.md"
    helpers.write_files(skill.parent, {"SKILL.md": content})
    message = refused(repo, "run", "job", "--skill", skill, says=says)
    assert len([line for line in message.splitlines() if line.startswith("skillrun: ")]) == 1


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_that_cannot_be_read(name: str, repo: Path) -> None:
    content, says = SPECS[name]
    helpers.write_files(repo, {"job.yaml": content})
    refused(repo, shops.SKILL, "--spec", "job.yaml", says=says)


def test_every_violation_of_a_spec_at_once(repo: Path) -> None:
    helpers.write_files(
        repo,
        {"job.yaml": "version: 2\njob: send receipt\ncolour: red\nretry: {max_attempts: -1}\n"},
    )
    message = refused(repo, shops.SKILL, "--spec", "job.yaml", says="job.yaml:1: version")
    assert "job.yaml:2: job" in message
    assert "job.yaml:3: colour" in message
    assert "job.yaml:4: retry.max_attempts" in message


def test_a_spec_that_is_not_there(repo: Path) -> None:
    refused(repo, shops.SKILL, "--spec", "nowhere.yaml", says="nowhere.yaml: no such job spec")
    refused(repo, shops.SKILL, "--spec", "shop", says="shop: is not a file")


def test_a_profile_that_cannot_be_read(repo: Path) -> None:
    helpers.write_files(repo, {"REPO_PROFILE.json": '{"stack": [}\n'})
    refused(repo, shops.SKILL, says="REPO_PROFILE.json:1")


@pytest.mark.parametrize("build", (odd.no_git, odd.bare), ids=lambda build: build.__name__)
def test_no_repository_to_work_on(build: Callable[[Path], Path], tmp_path: Path) -> None:
    root = build(tmp_path / "repo")
    says = "no git repository here" if build is odd.no_git else "a bare repository"
    refused(root, shops.SKILL, says=says, env={"GIT_CEILING_DIRECTORIES": str(tmp_path)})


def test_no_such_folder(repo: Path) -> None:
    refused(repo, shops.SKILL, "--repo", "nowhere", says="nowhere: does not exist")


def test_a_ledger_that_is_no_database(repo: Path) -> None:
    helpers.write_files(
        repo, {".skillrun/ledger.db": b"not a database, and longer than a hundred bytes\n" * 5}
    )
    refused(repo, shops.SKILL, says="not a SQLite database")


def test_a_ledger_that_is_another_database(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "other.db"
    other.parent.mkdir()
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("create table t (x)")
        connection.commit()
    refused(repo, shops.SKILL, "--ledger", other, says="not a ledger", watch=other.parent)


def test_a_ledger_that_is_a_folder_a_pipe_or_a_link(repo: Path, tmp_path: Path) -> None:
    ledger = repo / ".skillrun" / "ledger.db"
    ledger.mkdir(parents=True)
    refused(repo, shops.SKILL, says="a folder, not a ledger")
    ledger.rmdir()
    ledger.symlink_to(tmp_path / "elsewhere.db")
    refused(repo, shops.SKILL, says="a symbolic link")
    ledger.unlink()
    os.mkfifo(ledger)
    refused(repo, shops.SKILL, says="not a regular file", timeout=20)


def test_a_lock_folder_that_is_a_link_leads_nowhere(repo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "scaffold.json").write_text("{}")
    (repo / ".skillrun").mkdir(exist_ok=True)
    (repo / ".skillrun" / "locks").symlink_to(outside)
    refused(repo, shops.SKILL, says="locks: a symbolic link", watch=outside)
    ledger = repo / ".skillrun" / "ledger.db"
    refused(repo, shops.SKILL, "--ledger", ledger, says="is a symbolic link", watch=outside)
    assert [path.name for path in outside.iterdir()] == ["scaffold.json"]


def test_the_names_of_several_specs_are_shown_on_one_line(repo: Path) -> None:
    jobs = repo / ".skillrun" / "jobs"
    jobs.mkdir(parents=True, exist_ok=True)
    for name in ("a\nskillrun: all is well.yaml", "b.yaml"):
        (jobs / name).write_text("version: 1\n")
    done = helpers.run_cli("run", shops.SKILL, cwd=repo)
    assert done.returncode == 2
    assert r"a\nskillrun: all is well.yaml" in done.stderr.splitlines()[0]
    assert not any(line.startswith("skillrun: all") for line in done.stderr.splitlines())


@pytest.mark.real
def test_a_ledger_of_a_newer_version(repo: Path) -> None:
    shops.run(repo, code=3)
    ledger = shops.ledger_of(repo)
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("pragma user_version = 99")
        connection.commit()
    refused(repo, shops.SKILL, says="written by a newer skillrun (ledger version 99")


@pytest.mark.real
def test_a_ledger_that_is_locked_for_good(repo: Path) -> None:
    shops.run(repo, code=3)
    helpers.write_files(repo, {"shop/new.py": ""})
    hold = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('begin exclusive'); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(shops.ledger_of(repo))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        started = time.monotonic()
        refused(repo, shops.SKILL, says="locked by another process", env={"SKILLRUN_WAIT_S": "0.5"})
        assert time.monotonic() - started < 10
        holder.communicate(b"\n")


@pytest.mark.real
def test_a_refusal_adds_nothing_to_a_ledger(repo: Path) -> None:
    shops.run(repo, code=3)
    helpers.write_files(repo, {"job.yaml": "version: 1\njob: x\ncolour: red\n"})
    before = shops.ledger_of(repo).read_bytes()
    refused(repo, shops.SKILL, "--spec", "job.yaml", says="colour")
    assert shops.ledger_of(repo).read_bytes() == before


@pytest.mark.real
def test_a_read_only_tree_says_where_the_ledger_may_go(tmp_path: Path) -> None:
    root = odd.plain(tmp_path / "repo")
    with odd.read_only(root) as prefix:
        message = refused(root, shops.SKILL, says="cannot be written", prefix=prefix)
    assert "--ledger" in message


def test_json_changes_nothing_of_a_refusal(repo: Path) -> None:
    refused(repo, "no-such-skill", "--json", says="no skill named no-such-skill")
