"""Several files are written as one: killed at any step, on a full disk, or with somebody else at
work in them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.core import journal
from skillrun.core.errors import Refused
from skillrun.core.files import Change, Files, write
from skillrun.core.journal import LEFTOVER, Intent, Journal, Place, Step, draft_name, held
from skillrun.core.state import state_dir
from skillrun.repo.git import open_to_write

pytestmark = pytest.mark.real

WRITER = Path(__file__).with_name("write_files.py")
OLD: dict[str, str | bytes] = {
    "a.py": b"a = 1\r\n",
    "pkg/b.py": "b = 1\n",
    "gone.py": "c = 1\n",
    "other.txt": "o\n",
}
WANTED: dict[str, str | None] = {
    "a.py": "a = 2\r\n",
    "pkg/new/deep/d.py": "d = 2\n",
    "pkg/b.py": "b = 2\n" * 5000,
    "gone.py": None,
    "e.py": "e = 2\n",
}


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file but git's own, with mode and content; empty folders as well."""
    paths = [path for path in root.rglob("*") if ".git" not in path.relative_to(root).parts]
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode & 0o777,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in paths
    }


def repo(folder: Path) -> Path:
    root = helpers.build_tree(folder, OLD)
    (root / "pkg" / "b.py").chmod(0o750)
    return root


def writer(
    root: Path,
    *options: str,
    wanted: dict[str, str | None] | None = None,
    prefix: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    command = [
        *prefix,
        sys.executable,
        str(WRITER),
        str(root),
        json.dumps(wanted or WANTED),
        *options,
    ]
    return subprocess.run(
        command, env=same_state(), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def same_state() -> dict[str, str]:
    """The environment of a process that shares this test's state folder."""
    return helpers.clean_env(state_dir().parent)


def journals() -> list[Path]:
    """What lies in the state folder of this test."""
    return sorted((state_dir() / "writing").glob("*"))


@pytest.fixture
def old_and_new(tmp_path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    root = repo(tmp_path / "undisturbed")
    before = tree(root)
    done = writer(root)
    assert done.returncode == 0, done.stderr
    after = tree(root)
    assert after["a.py"][1] == b"a = 2\r\n"
    assert after["pkg/b.py"][0] == 0o750
    assert "gone.py" not in after
    assert not any(".skillrun" in path for path in after)
    return before, after


def copies(folder: Path) -> Iterator[Path]:
    """The same repository again and again."""
    repo(folder / "model")
    for number in range(1, 200):
        shutil.copytree(folder / "model", folder / str(number), symlinks=True)
        yield folder / str(number)


def test_killed_at_every_step(tmp_path: Path, old_and_new: tuple[Any, Any], capsys: Any) -> None:
    """After the next command the tree is the old one or the new one; from one step on it is the new
    one.
    """
    seen: list[str] = []
    finished = 0
    for number, root in enumerate(copies(tmp_path), 1):
        done = writer(root, f"kill={number}")
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        open_to_write(root)
        said = capsys.readouterr().err
        found = tree(root)
        found.pop(".skillrun", None)  # an empty folder, which git does not see
        assert found in old_and_new, f"step {number}"
        seen.append("new" if found == old_and_new[1] else "old")
        assert not said or seen[-1] == "new", said
        finished += bool(said)
        open_to_write(root)
        assert capsys.readouterr().err == ""
    assert seen == sorted(seen, reverse=True)
    assert seen.count("old") > 10
    assert seen.count("new") - 2 <= finished > 5  # the last steps are after the journal is gone


SYSCALLS = (
    "openat",
    "write",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "fchmod",
    "fsync",
    "flock",
    "close",
)


@pytest.mark.long
@pytest.mark.parametrize("call", SYSCALLS)
def test_killed_at_every_system_call(
    tmp_path: Path, call: str, old_and_new: tuple[Any, Any]
) -> None:
    """Below Python; Linux with strace, which is attached when the files are about to be written."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    died = 0
    for number, root in enumerate(copies(tmp_path), 1):
        code = writer_under_strace(root, call, number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        died += 1
        open_to_write(root)
        found = tree(root)
        found.pop(".skillrun", None)
        assert found in old_and_new, f"{call} {number}"
    assert died or call == "rmdir"


def writer_under_strace(root: Path, call: str, number: int) -> int:
    command = [sys.executable, str(WRITER), str(root), json.dumps(WANTED), "wait"]
    process = subprocess.Popen(
        command, env=same_state(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    strace = subprocess.Popen(
        ["strace", "-o", os.devnull, "-p", str(process.pid), *inject],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    assert "attached" in strace.stderr.readline()
    process.stdin.write("\n")
    process.stdin.close()
    strace.wait()
    return process.wait()


def test_an_undo_that_is_killed(tmp_path: Path, capsys: Any) -> None:
    """Somebody edits a file when others are in place already: they are put back, and a death then
    leaves no litter.
    """
    model = repo(tmp_path / "undone")
    before = tree(model)
    done = writer(model, "edit=pkg/b.py")
    assert "pkg/b.py: somebody else has just changed it; nothing was written" in done.stderr
    mine = {**before, "pkg/b.py": (0o750, b"mine\n")}
    assert tree(model) == mine
    ends = []
    for number, root in enumerate(copies(tmp_path), 1):
        if writer(root, "edit=pkg/b.py", f"kill={number}").returncode != -signal.SIGKILL:
            break
        open_to_write(root)
        found = tree(root)
        found.pop(".skillrun", None)
        ends.append(found)
        assert not [path for path in found if ".skillrun" in path], number
        assert found.keys() <= {*before, *WANTED, "pkg/new", "pkg/new/deep"}
        assert found["other.txt"] == before["other.txt"]
        assert found["pkg/b.py"] in (before["pkg/b.py"], mine["pkg/b.py"])
        said = capsys.readouterr().err
        if found not in (before, mine):
            assert "pkg/b.py: changed after skillrun was interrupted" in said
    assert ends[0] == before
    assert ends[-1] == mine


# -- no room


def test_a_file_that_may_not_be_so_large(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    done = writer(root, "limit=20000")
    assert "refused: " in done.stderr
    assert "nothing was changed" in done.stderr
    assert tree(root) == before


FULL = """
mount -t tmpfs -o size=$2 tmpfs "$1" && cp -a "$1-model/." "$1" && shift 2 || exit 99
"$@"; code=$?
rm -rf "$COPY"; mkdir "$COPY"; cp -a "$ROOT/." "$COPY"; exit $code
"""


@pytest.mark.parametrize(
    "size", ("24k", "28k", "60k", "100k", "120k", "124k", "128k", "132k", "136k", "180k")
)
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    """A file system of a few pages: whatever does not fit any more, nothing is different
    afterwards.
    """
    model, root, copy = repo(tmp_path / "repo-model"), tmp_path / "repo", tmp_path / "copy"
    root.mkdir()
    shutil.rmtree(model / ".git")
    before = tree(model)
    (tmp_path / "full.sh").write_text(FULL)
    inside = (
        "env",
        f"ROOT={root}",
        f"COPY={copy}",
        "unshare",
        "-rm",
        "sh",
        str(tmp_path / "full.sh"),
        str(root),
        size,
    )
    done = writer(root, prefix=inside, wanted={**WANTED, "huge.py": "h = 1\n" * 10_000})
    if done.returncode not in (0, 1):
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    after = tree(copy)
    if done.returncode == 0:
        assert after["huge.py"][1].count(b"h") == 10_000
    else:
        assert "No space left on device; nothing was changed" in done.stderr
        assert after == before


# -- what somebody left


def leave(root: Path, *, edited: bool = False) -> None:
    """What a write leaves that dies when all is ready and nothing is done."""
    files = Files(root)
    files.put("a.py", b"a = 2\n")
    (change,) = files.changes()
    draft = draft_name("a.py")
    (root / draft).write_bytes(b"a = 2\n")
    step = Step("a.py", draft, journal.sha256(change.before or b""), journal.sha256(b"a = 2\n"))
    left = Journal(root.resolve())
    left.drafting(Intent((), (draft,)))
    left.ready(Intent((step,), (draft,)))
    if edited:
        (root / "a.py").write_text("mine\n")


def run_cli(root: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return helpers.run_cli(*words, cwd=root, env={"SKILLRUN_STATE_DIR": str(state_dir()), **more})


WRITING = (
    ("detect", "--write"),
    ("install", "agents"),
    ("uninstall", "agents"),
    ("spec", "init", "--set", "job=x"),
    ("job-worker-orchestration", "--implement", "scaffold"),
    ("job-worker-orchestration", "--implement", "true"),
    ("prove", "--pytest", "test_x.py"),
)
READING = (
    ("status",),
    ("status", "--json"),
    ("next",),
    ("list",),
    ("detect",),
    ("doctor",),
    ("verify", "--ci"),
    ("prove", "--list"),
    ("install", "agents", "--dry-run"),
    ("uninstall", "agents", "--dry-run"),
    ("job-worker-orchestration",),
    ("job-worker-orchestration", "--implement", "scaffold", "--dry-run"),
    ("ledger", "list"),
    ("ledger", "verify"),
)


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_the_next_command_that_writes_finishes_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    done = run_cli(root, *command)
    assert "skillrun: finished what an interrupted skillrun was writing: a.py" in done.stderr
    assert (root / "a.py").read_text() == "a = 2\n"
    assert not [path for path in tree(root) if "writing" in path or path.startswith(".a.py")]
    assert journals() == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_command_that_reads_says_it_and_changes_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    before, left = tree(root), [path.read_bytes() for path in journals()]
    done = run_cli(root, *command)
    line = (
        "skillrun: an interrupted skillrun has written half of a.py; the next command that writes"
        " finishes it"
    )
    assert done.stderr.splitlines().count(line) == 1, done.stderr
    assert [path.read_bytes() for path in journals()] == left
    ours = (".skillrun",)  # a run keeps its ledger there
    now = {path: was for path, was in tree(root).items() if not path.startswith(ours)}
    assert now == before


def test_drafts_alone_are_said_and_removed(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    draft = draft_name("a.py")
    Journal(root).drafting(Intent((), (draft, draft_name("e.py")), ("new",)))
    helpers.write_files(root, {draft: "half of"})
    (root / "new").mkdir()
    assert "has left drafts here" in run_cli(root, "status").stderr
    assert (root / draft).exists()
    run_cli(root, "detect", "--write")
    assert not (root / draft).exists()
    assert not (root / "new").exists()
    assert journals() == []


def test_a_file_that_somebody_changed_since(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    leave(root, edited=True)
    done = run_cli(root, "detect", "--write")
    assert done.stderr.splitlines()[0].startswith(
        "skillrun: a.py: changed after skillrun was interrupted"
    )
    assert (root / "a.py").read_text() == "mine\n"
    assert not [path for path in tree(root) if "writing" in path or path.startswith(".a.py")]


def test_in_the_home_folder(tmp_path: Path, home: Path) -> None:
    root = repo(tmp_path / "repo")
    helpers.write_files(home, {"a.py": "a = 1\n"})
    leave(home)
    looked = run_cli(root, "install", "claude", "--user", "--dry-run", HOME=str(home))
    assert "has written half of a.py" in looked.stderr
    assert (home / "a.py").read_text() == "a = 1\n"
    done = run_cli(root, "install", "claude", "--user", HOME=str(home))
    assert "finished what an interrupted" in done.stderr
    assert (home / "a.py").read_text() == "a = 2\n"


def test_another_worktree_is_another_place(tmp_path: Path) -> None:
    """A copy, and what stands at the same path later, has files of its own."""
    root = repo(tmp_path / "repo")
    leave(root)
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    root.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "copy", root, symlinks=True)
    for other in (root, tmp_path / "copy", tmp_path / "moved"):
        done = run_cli(other, "detect", "--write")
        assert "interrupted" not in done.stderr
        assert (other / "a.py").read_bytes() == b"a = 1\r\n"
    shutil.rmtree(root)
    (tmp_path / "moved").rename(root)
    assert "finished what" in run_cli(root, "detect", "--write").stderr


# -- where journals cannot be kept


@pytest.mark.parametrize("kind", ("file", "link", "others"))
def test_without_a_place_for_the_journal_nothing_is_begun(tmp_path: Path, kind: str) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    place = state_dir() / "writing"
    place.parent.mkdir()
    if kind == "file":
        place.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    for command in (
        ("detect", "--write"),
        ("install", "agents"),
        ("spec", "init", "--set", "job=x"),
    ):
        done = run_cli(root, *command)
        assert done.returncode == 4, done.stdout
        said = done.stderr.splitlines()
        assert "what is about to be written cannot be noted there" in said[0]
        assert said[0].endswith("; nothing was written")
        assert "SKILLRUN_STATE_DIR" in said[1]
        assert len(said) == 2
        assert tree(root) == before
    assert not (tmp_path / "elsewhere").exists() or not list((tmp_path / "elsewhere").iterdir())


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    done = run_cli(root, "install", "agents", SKILLRUN_STATE_DIR="/proc/none/state")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 2), done.stderr
    assert tree(root) == before


# -- what somebody forged


def step(path: str, draft: str | None, root: Path) -> dict[str, Any]:
    """A step that could be done: it fits what is there."""
    found, made = root / path, None if draft is None else root / draft
    before = journal.sha256(found.read_bytes()) if found.is_file() else None
    after = journal.sha256(made.read_bytes()) if made is not None and made.is_file() else None
    return {"path": path, "draft": draft, "before": before, "after": after}


def forged(root: Path, *steps: dict[str, Any], drafts: tuple[str, ...] = ()) -> str:
    """A journal that says that all is ready."""
    place = asdict(Place.find(root))
    value = {
        "version": 2,
        "state": "ready",
        "place": place,
        "steps": steps,
        "drafts": drafts,
        "folders": [],
    }
    return json.dumps(value)


def put_journal(root: Path, text: str | bytes) -> Path:
    """As the user's own file."""
    (state_dir() / "writing").mkdir(parents=True, mode=0o700)
    path = state_dir() / "writing" / f"{Place.find(root).key}.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("path", "draft", "drafts"),
    (
        ("../out.py", "../.out.py.skillrun-1", ()),
        ("pkg/../../out.py", "pkg/../../.out.py.skillrun-1", ()),
        ("link/out.py", "link/.out.py.skillrun-1", ()),
        (".git/hooks/post-checkout", ".git/hooks/.post-checkout.skillrun-1", ()),
        (".GIT/hooks/post-checkout", ".GIT/hooks/.post-checkout.skillrun-1", ()),
        ("a.py", "other.txt", ()),
        ("a.py", "pkg/.a.py.skillrun-1", ()),
        ("a.py", None, ("other.txt",)),
        ("a.py", None, ("../.out.py.skillrun-1",)),
        ("a.py", None, ("link/.out.py.skillrun-1",)),
    ),
)
def test_a_journal_leads_nowhere_else(
    tmp_path: Path, path: str, draft: str | None, drafts: tuple[str, ...]
) -> None:
    """Whatever it says, and whatever the repository has put in the place of a folder since."""
    root = repo(tmp_path / "repo")
    (root / "link").symlink_to(tmp_path)
    names = (
        "../.out.py.skillrun-1",
        ".git/hooks/.post-checkout.skillrun-1",
        "pkg/.a.py.skillrun-1",
    )
    (root / ".git" / "hooks").mkdir(exist_ok=True)
    helpers.write_files(root, dict.fromkeys(names, "forged\n"))
    if path == "a.py" and draft is None and drafts == ("link/.out.py.skillrun-1",):
        path = "gone-already.py"  # nothing is in the way of this step
    before = tree(tmp_path)
    put_journal(root, forged(root, step(path, draft, root), drafts=drafts))
    open_to_write(root)
    assert tree(tmp_path) == before
    assert not (root / ".git" / "hooks" / "post-checkout").exists()
    assert journals() == []


@pytest.mark.parametrize(
    "text", ("", "{", "[1]", '{"state": "ready"}', "[" * 100_000, '{"steps": [{"path": 1}]}')
)
def test_a_journal_that_is_none(tmp_path: Path, text: str) -> None:
    root = repo(tmp_path / "repo")
    put_journal(root, text)
    run_cli(root, "status")
    open_to_write(root)
    assert journals() == []


@pytest.mark.parametrize("kind", ("pipe", "link", "others", "elsewhere"))
def test_a_journal_of_somebody_else(tmp_path: Path, kind: str) -> None:
    """One that others could have written, or that speaks of another folder, moves nothing; nobody
    waits for it.
    """
    root = repo(tmp_path / "repo")
    draft = ".a.py.skillrun-1"
    helpers.write_files(root, {draft: "forged\n"})
    path = put_journal(root, forged(root, step("a.py", draft, root), drafts=(draft,)))
    if kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "link":
        path.rename(tmp_path / "kept")
        path.symlink_to(tmp_path / "kept")
    elif kind == "others":
        path.chmod(0o666)
    else:
        path.write_text(path.read_text().replace(f'"inode": {root.stat().st_ino}', '"inode": 1'))
    assert "has left drafts here" in run_cli(root, "status").stderr
    open_to_write(root)
    assert (root / "a.py").read_bytes() == b"a = 1\r\n"
    assert (root / draft).exists()


def commit_journal(root: Path) -> None:
    """A repository that brings one: it would have a bad file replaced by a good one, and another
    one removed.
    """
    draft = ".a.py.skillrun-1"
    helpers.write_files(root, {draft: "good = 1\n"})
    text = forged(root, step("a.py", draft, root), step("other.txt", None, root), drafts=(draft,))
    helpers.write_files(root, {LEFTOVER: text})
    helpers.git(root, "add", "--force", "--all")
    helpers.git(root, "commit", "--quiet", "--message", "A journal")


@pytest.mark.parametrize("command", (*READING, *WRITING), ids=" ".join)
def test_a_journal_in_the_repository_is_not_followed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """It is said once, also where a verification makes a checkout that has it too."""
    root = repo(tmp_path / "repo")
    helpers.write_files(root, {".skillrun/jobs/x.yaml": "version: 1\njob: x\n"})
    commit_journal(root)
    (root / ".skillrun" / "jobs" / "x.yaml").rename(root / ".skillrun" / "jobs" / "y.yaml")
    before = {
        name: (root / name).read_bytes()
        for name in ("a.py", "other.txt", LEFTOVER, ".a.py.skillrun-1")
    }
    done = run_cli(root, *command)
    assert done.stderr.count(f"skillrun: {LEFTOVER} is not followed") == 1, done.stderr
    assert {name: (root / name).read_bytes() for name in before} == before


def test_a_folder_that_leads_out(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    (tmp_path / "outside").mkdir()
    (root / ".skillrun").symlink_to(tmp_path / "outside")
    with pytest.raises(Refused, match="a symbolic link; nothing was written"):
        open_to_write(root)
    assert list((tmp_path / "outside").iterdir()) == []
    assert (root / "a.py").read_bytes() == b"a = 1\r\n"
    files = Files(root)
    files.put("e.py", b"e = 1\n")
    with pytest.raises(Refused, match="a symbolic link; nothing was written"):
        write(root, files.changes())


def test_a_folder_that_became_a_link_after_the_crash(tmp_path: Path) -> None:
    """The drafts of a write that died lie in a folder whose place a link has taken: nothing outside
    is moved.
    """
    root = repo(tmp_path / "repo")
    done = writer(
        root, "kill=20", wanted={"pkg/b.py": "b = 2\n", "pkg/c.py": "c = 2\n", "a.py": "a = 2\n"}
    )
    assert done.returncode == -signal.SIGKILL
    assert journals()
    (root / "pkg").rename(tmp_path / "outside")
    (root / "pkg").symlink_to(tmp_path / "outside")
    before = tree(tmp_path / "outside")
    open_to_write(root)
    assert tree(tmp_path / "outside") == before
    assert journals() == []


# -- somebody else at work


def test_a_write_that_is_alive_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_PATIENCE_S", 0.1)
    root = repo(tmp_path / "repo")
    with held(root.resolve()):
        leave(root)
        open_to_write(root)
        assert (root / "a.py").read_bytes() == b"a = 1\r\n"
        with pytest.raises(Refused, match="another skillrun is writing here"):
            write(root, [Change("e.py", root.resolve() / "e.py", None, b"e\n")])
    open_to_write(root)
    assert (root / "a.py").read_bytes() == b"a = 2\n"


def test_many_at_once(tmp_path: Path, old_and_new: tuple[Any, Any]) -> None:
    """One of them writes; the others find what they wanted changed meanwhile."""
    root = repo(tmp_path / "repo")
    command = [sys.executable, str(WRITER), str(root), json.dumps(WANTED), "wait"]
    env = same_state()
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    processes = [subprocess.Popen(command, env=env, text=True, **pipes) for _ in range(6)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    said = [process.communicate("\n")[1] for process in processes]
    assert sum(process.returncode == 0 for process in processes) == 1
    assert all("somebody else has just changed it" in text for text in said if text)
    assert tree(root) == old_and_new[1]


def test_a_folder_that_becomes_a_link(tmp_path: Path) -> None:
    """Between plan and write, somebody lets a folder lead out of the repository."""
    root = repo(tmp_path / "repo")
    files = Files(root)
    files.put("pkg/b.py", b"b = 2\n")
    files.put("pkg/new.py", b"n = 2\n")
    changes = files.changes()
    (root / "pkg").rename(tmp_path / "outside")
    (root / "pkg").symlink_to(tmp_path / "outside")
    before = tree(tmp_path)
    with pytest.raises(Refused, match="somebody else has just changed it"):
        write(root, changes)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ("locks", "locks/scaffold.json"))
def test_the_note_of_a_scaffold_is_written_through_no_link(tmp_path: Path, name: str) -> None:
    """The repository holds a link where the note would come."""
    from skillrun.runner import written
    from skillrun.runner.changes import Plan

    root = repo(tmp_path / "repo")
    helpers.write_files(tmp_path, {"outside/scaffold.json": "theirs\n"})
    link = root / ".skillrun" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside" / ("scaffold.json" if "/" in name else ""))
    with contextlib.suppress(Refused):
        written.begin(root / ".skillrun" / "ledger.db", "run", Plan())
    assert (tmp_path / "outside" / "scaffold.json").read_text() == "theirs\n"
