"""What git says about a repository: where it is, what it points at, and what a run has touched.

Git is asked through its plumbing, in a clean environment: no hooks, no pager, no file-system monitor, no lock taken.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillrun.canonical import digest
from skillrun.errors import RepoUnusable

# Where git finds its own configuration stays; what would point it at another repository goes.
_KEPT_VARIABLES = ("GIT_CONFIG_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH")
_NEVER_RUN = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false")
_LARGE = 64 * 1024 * 1024  # bytes; beyond it a file is compared by size and time
_SUBMODULE_MODE = "160000"
_READ_BY_GIT = frozenset({".gitignore", ".gitattributes", ".gitmodules"})
_MOSTLY_S = 1.0  # after that much time it is worth a look at what git may be waiting for


@dataclass(frozen=True)
class Repo:
    """A checkout. `common_root` is the main checkout's root; it differs from `root` in a linked worktree only."""

    root: Path
    common_root: Path
    head: str | None  # commit id; None: unborn
    branch: str | None  # None: detached
    detached: bool = False
    unborn: bool = False
    worktree: bool = False


@dataclass(frozen=True)
class Snapshot:
    """The tree at one moment: the commit, and the state of every path that differs from it.

    `dirty` maps a path to an opaque word for mode and content; "deleted" for a path that is gone. Untracked files
    are in it, ignored ones are not, a submodule is one path.
    """

    head: str | None
    dirty: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return {"head": self.head, "dirty": dict(sorted(self.dirty.items()))}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Snapshot:
        """The snapshot that `as_json` wrote."""
        return cls(head=value["head"], dirty=dict(value["dirty"]))


def git_environment() -> dict[str, str]:
    """The environment for every git process: nothing in it redirects git, locks, pages or translates."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or (name.startswith(_KEPT_VARIABLES) and name != "GIT_CONFIG_PARAMETERS")
    }
    set_here = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}
    return kept | set_here | {"GIT_NO_REPLACE_OBJECTS": "1"}  # what is there, not what this clone shows instead


def run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Runs git in a folder and returns its exit code and output. Raises `RepoUnusable` where git is missing."""
    command = ["git", *_NEVER_RUN, "-C", str(folder), *arguments]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=git_environment())
    except FileNotFoundError:
        raise RepoUnusable("git is not installed or not on PATH", hint="install git") from None
    with process:
        out, err = _finish(process, folder, stdin)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _finish(process: subprocess.Popen[bytes], folder: Path, stdin: bytes) -> tuple[bytes, bytes]:
    """What git printed. Git itself waits for ever on a pipe in place of a file that it reads in every folder.

    To look for one costs a walk over all folders, so that is done only where git takes longer than it mostly does.
    """
    try:
        try:
            return process.communicate(stdin, timeout=_MOSTLY_S)
        except subprocess.TimeoutExpired:
            _refuse_pipes(folder)
        return process.communicate()
    except BaseException:
        process.kill()
        raise


def _refuse_pipes(folder: Path) -> None:
    """Raises RepoUnusable for the first of git's own files that is a pipe or a device."""
    top = next((one for one in (folder, *folder.absolute().parents) if (one / ".git").exists()), folder)
    for current, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        for name in _READ_BY_GIT.intersection(names):
            path = Path(current, name)
            if not stat.S_ISREG(path.lstat().st_mode) and not path.is_symlink():
                what = f"{path}: a pipe or a device, not a file: git waits on it for ever"
                raise RepoUnusable(what, hint="remove it")


def git_output(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """What git printed. Raises `RepoUnusable` with git's last line where it failed."""
    done = run_git(folder, *arguments, stdin=stdin)
    if done.returncode:
        raise RepoUnusable(f"{folder}: git {arguments[0]} failed: {_last_line(done.stderr)}", hint="run git status")
    return done.stdout


def open_repo(path: Path) -> Repo:
    """The checkout that holds `path`; what skillrun was killed at writing there is finished first.

    Raises `RepoUnusable`: no such folder, no repository, a bare or a foreign one.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise RepoUnusable(f"{path}: {what}", hint="--repo takes a folder inside a git repository")
    asked = ("--is-bare-repository", "--show-toplevel", "--absolute-git-dir", "--git-common-dir")
    done = run_git(path, "rev-parse", *asked, "HEAD", "--symbolic-full-name", "HEAD")
    lines = os.fsdecode(done.stdout).split("\n")[:-1]
    if done.returncode and len(lines) < 4:
        raise _unusable(path, lines, os.fsdecode(done.stderr))
    root = Path(lines[1])
    finish_writing(root)
    git_dir, common_dir = Path(lines[2]), (path / lines[3]).resolve()
    worktree = git_dir.resolve() != common_dir
    unborn = bool(done.returncode)
    return Repo(
        root=root,
        common_root=_main_root(root) if worktree else root,
        head=None if unborn else lines[4],
        branch=_unborn_branch(root) if unborn else _short_branch(lines[5:]),
        detached=not unborn and _short_branch(lines[5:]) is None,
        unborn=unborn,
        worktree=worktree,
    )


def finish_writing(root: Path) -> None:
    """Finishes or drops what a skillrun that died has left half written below a folder; says so in one line."""
    if not os.path.lexists(root / ".skillrun" / "writing.json"):
        return
    from skillrun.journal import finish_leftover

    said = finish_leftover(root)
    if said:
        print(f"skillrun: {said}", file=sys.stderr)


def _unusable(path: Path, lines: list[str], stderr: str) -> RepoUnusable:
    if "dubious ownership" in stderr:
        hint = f"if you trust it: git config --global --add safe.directory {path.resolve()}"
        return RepoUnusable(f"{path}: git refuses a repository that belongs to another user", hint=hint)
    if lines[:1] == ["true"]:
        return RepoUnusable(f"{path}: a bare repository has no files to work on", hint="give a checkout of it")
    if "not a git repository" in stderr:
        return RepoUnusable(f"{path}: no git repository here", hint=f"git init {path}, or give another --repo")
    if "must be run in a work tree" in stderr:
        return RepoUnusable(f"{path}: inside git's own folder", hint="give the checkout itself")
    return RepoUnusable(f"{path}: git cannot read it: {_last_line(stderr.encode())}", hint="run git status there")


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"


def _short_branch(names: list[str]) -> str | None:
    name = names[0] if names else ""
    return name.removeprefix("refs/heads/") if name.startswith("refs/heads/") else None


def _unborn_branch(root: Path) -> str | None:
    name = os.fsdecode(run_git(root, "symbolic-ref", "-q", "--short", "HEAD").stdout).strip()
    return name or None


def _main_root(root: Path) -> Path:
    """The main checkout of a linked worktree; the worktree itself where there is none (a bare repository)."""
    first = git_output(root, "worktree", "list", "--porcelain", "-z").split(b"\0\0")[0].split(b"\0")
    main = Path(os.fsdecode(first[0].removeprefix(b"worktree ")))
    return main if b"bare" not in first and (main / ".git").exists() else root


def snapshot(repo: Repo) -> Snapshot:
    """The tree as it is now. Compare a later one with `touched`."""
    states = {path: _state(repo.root, path) for path in _dirty_paths(repo.root)}
    return Snapshot(head=_head(repo.root), dirty=states)


def touched(repo: Repo, start: Snapshot) -> list[str]:
    """The paths whose content differs from the snapshot, sorted, committed in the meantime or not.

    Deleted files count; a file that was put back does not. Raises `RepoUnusable` where the start commit is gone.
    """
    base = start.head or _empty_tree(repo.root)
    since_base = _names(git_output(repo.root, "diff", *_DIFF, base, "--"))
    untracked = _names(git_output(repo.root, "ls-files", "-z", "-o", "--exclude-standard"))
    candidates = {name.rstrip("/") for name in since_base + untracked} | set(start.dirty)
    known = {path for path in candidates if path in start.dirty}
    changed = {path for path in known if start.dirty[path] != _state(repo.root, path)}
    return sorted(changed | _unlike_commit(repo.root, base, candidates - known))


_DIFF = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none")


def _dirty_paths(root: Path) -> set[str]:
    """Paths that differ from HEAD in the index or the folder, and untracked files."""
    listing = ("status", "--porcelain=v1", "-z", "--no-renames", "-uall", "--ignore-submodules=none")
    return {name[3:].rstrip("/") for name in _names(git_output(root, *listing))}


def _names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def _head(root: Path) -> str | None:
    done = run_git(root, "rev-parse", "-q", "--verify", "HEAD")
    return done.stdout.decode().strip() or None


def _empty_tree(root: Path) -> str:
    return git_output(root, "hash-object", "-t", "tree", "--stdin").decode().strip()


def _state(root: Path, path: str) -> str:
    """Mode and content of a path as one word, e.g. "100644:<sha256>"."""
    full = root / path
    try:
        seen = os.lstat(full)
        if stat.S_ISLNK(seen.st_mode):
            return "120000:" + hashlib.sha256(os.fsencode(full.readlink())).hexdigest()
        if stat.S_ISDIR(seen.st_mode):
            return f"{_SUBMODULE_MODE}:{_submodule_state(full)}"
        mode = "100755" if seen.st_mode & stat.S_IXUSR else "100644"
        if seen.st_size > _LARGE or not stat.S_ISREG(seen.st_mode):
            return f"{mode}:size {seen.st_size} mtime {seen.st_mtime_ns}"
        with full.open("rb") as file:
            return f"{mode}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (FileNotFoundError, NotADirectoryError):
        return "deleted"
    except OSError as error:
        return f"unreadable:{error.errno}"


def _submodule_state(folder: Path) -> str:
    if not (folder / ".git").exists():
        return "empty"
    return digest(Snapshot(_head(folder), {p: _state(folder, p) for p in _dirty_paths(folder)}).as_json())


def _unlike_commit(root: Path, commit: str, paths: Iterable[str]) -> set[str]:
    """Those of the paths whose content is not what the commit holds.

    Git's diff also names a path that merely left the index, so those that the commit holds are compared by content.
    """
    wanted = set(paths)
    held = {path: (mode, blob) for path, mode, blob in _entries(root, commit, wanted)}
    plain = [path for path in held if "\n" not in path and held[path][0] in ("100644", "100755")]
    present = [path for path in plain if (root / path).is_file() and not (root / path).is_symlink()]
    stdin = b"".join(os.fsencode(path) + b"\n" for path in present)
    hashes = git_output(root, "hash-object", "--stdin-paths", stdin=stdin).decode().split() if present else []
    same = {
        path
        for path, blob in zip(present, hashes, strict=True)
        if held[path] == (_state(root, path).partition(":")[0], blob)
    }
    return wanted - same


def _entries(root: Path, commit: str, paths: set[str]) -> list[tuple[str, str, str]]:
    """(path, mode, object id) of those paths that a commit holds."""
    if not paths:
        return []
    found = []
    for line in git_output(root, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        facts, _, name = line.partition(b"\t")
        path = os.fsdecode(name)
        if path in paths:
            mode, _, blob = facts.decode().split(" ")
            found.append((path, mode, blob))
    return found
