"""Repositories in which several files are written as one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helpers
import pytest

from skillrun.core import journal
from skillrun.core.files import Files
from skillrun.core.journal import Intent, Journal, Step, draft_name
from skillrun.core.state import state_dir

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
    left.note_drafting(Intent((), (draft,)))
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

# -- what somebody forged


def step(path: str, draft: str | None, root: Path) -> dict[str, Any]:
    """A step that could be done: it fits what is there."""
    found, made = root / path, None if draft is None else root / draft
    before = journal.sha256(found.read_bytes()) if found.is_file() else None
    after = journal.sha256(made.read_bytes()) if made is not None and made.is_file() else None
    return {"path": path, "draft": draft, "before": before, "after": after}
