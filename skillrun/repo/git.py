"""What git says about a repository: where it is, what it points at, and what a run has touched.

Git is asked through its plumbing, in a clean environment, and through `run_git` alone. Nothing that
a repository's configuration names is started: no hook, pager, file-system monitor, filter, external
diff, transport or helper of one. No lock is taken.
"""

from __future__ import annotations

import hashlib
import os
import stat
import string
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from skillrun.core.canonical import digest
from skillrun.core.errors import RepoUnusable
from skillrun.core.opening import read_beginning
from skillrun.core.text import visible
from skillrun.repo import filters

# Where git finds its own configuration stays; what would point it at another repository goes.
_KEPT_VARIABLES = (
    "GIT_CONFIG_",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_EXEC_PATH",
)
_NEVER_RUN = (
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "core.quotePath=false",
)
# These look at no content of the folder, so that they meet no filter. Every other command costs one
# process more.
_LOOKS_AT_NO_FILE = frozenset(
    (
        *("--version", "branch", "cat-file", "config", "ls-files", "ls-tree", "merge-base"),
        *("notes", "rev-parse", "symbolic-ref", "update-ref", "var"),
    )
)
_NOT_FETCHED = (b"from promisor remote", b"lazy fetching disabled", b"transport '")
# Bytes; beyond it a file is compared by size and time.
_LARGE = 64 * 1024 * 1024
# Of a `.git` that is a file: "gitdir: " and a path.
_LONGEST_LINK = 64 * 1024
# So often it is looked whether git has used the processor.
_IDLE_S = 4.0
# Looks in a row without a tick: no file system that works is as slow.
_MOST_IDLE = 8
_SUBMODULE_MODE = "160000"
_READ_BY_GIT = frozenset({".gitignore", ".gitattributes", ".gitmodules"})


@dataclass(frozen=True)
class Repo:
    """A checkout. `common_root` is the main checkout's root; it differs from `root` in a linked
    worktree only.
    """

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

    `dirty` maps a path to an opaque word for mode and content; "deleted" for a path that is gone.
    Untracked files
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
    """The environment for every git process: nothing in it redirects git, locks, pages or
    translates.
    """
    kept = {}
    for name, value in os.environ.items():
        if not name.startswith("GIT_") or (
            name.startswith(_KEPT_VARIABLES) and name != "GIT_CONFIG_PARAMETERS"
        ):
            kept[name] = value
    set_here = {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }
    # A partial clone would fetch what it lacks, by a program that its configuration names. No
    # protocol is allowed: that holds in every version of git, GIT_NO_LAZY_FETCH since 2.44.
    set_here |= {"GIT_ALLOW_PROTOCOL": "", "GIT_NO_LAZY_FETCH": "1", filters.NOTHING: ""}
    # What is there, not what this clone shows instead.
    return kept | set_here | {"GIT_NO_REPLACE_OBJECTS": "1"}


def run_git(
    folder: Path, *arguments: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Runs git in a folder and returns its exit code and output. Raises `RepoUnusable` where git is
    missing.

    `arguments` may begin with options of git itself, in pairs: `-c NAME=VALUE`.
    """
    off: tuple[str, ...] = ()
    if _find_command(arguments) not in _LOOKS_AT_NO_FILE:
        off = tuple(filters.switch_off(filter_names(folder)))
    return _start_git(folder, (*off, *arguments), stdin)


def _find_command(arguments: tuple[str, ...]) -> str:
    return next(word for word in arguments[::2] if word != "-c")


def _start_git(
    folder: Path, arguments: tuple[str, ...], stdin: bytes
) -> subprocess.CompletedProcess[bytes]:
    command = ["git", *_NEVER_RUN, "-C", str(folder), *arguments]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=git_environment()
        )
    except FileNotFoundError:
        raise RepoUnusable("git is not installed or not on PATH", hint="install git") from None
    with process:
        try:
            out, err = _wait_for(process, stdin, folder)
        except BaseException:
            process.kill()
            raise
    if out is None:
        raise _explain_waiting(folder, _find_command(arguments))
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _explain_waiting(folder: Path, command: str) -> RepoUnusable:
    """Which of the files that git reads in every folder is a pipe, where it is one of those."""
    pipe = _find_pipe(folder)
    if pipe is not None:
        what = f"{pipe}: a pipe or a device, not a file: git waits on it for ever"
        return RepoUnusable(what, hint="remove it")
    slept_s = int(_IDLE_S * _MOST_IDLE)
    what = (
        f"{folder}: git {command} did nothing for {slept_s} s and was ended: it may wait for a pipe"
        " or a device"
    )
    hint = f"look for one: find {folder} -type p, and at .git/config; on a slow disk run it again"
    return RepoUnusable(what, hint=hint)


def _find_pipe(folder: Path) -> Path | None:
    """A file that git reads by its name, or keeps in its own folder, and that is no file."""
    top = next(
        (one for one in (folder, *folder.absolute().parents) if (one / ".git").exists()), folder
    )
    own = [*top.glob(".git/*"), *top.glob(".git/info/*")]
    for path in own:
        if _is_endless(path):
            return path
    for current, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        for name in _READ_BY_GIT.intersection(names):
            if _is_endless(Path(current, name)):
                return Path(current, name)
    return None


def _is_endless(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _wait_for(
    process: subprocess.Popen[bytes], stdin: bytes, folder: Path
) -> tuple[bytes | None, bytes]:
    """What git printed; (None, ...) where it and its children only sleep, and it has been ended.

    It opens files by names that a repository chooses (.gitattributes, an included configuration).
    On a pipe it would wait for ever, without using any time of the processor. So it does on a slow
    disk of the network, for a while: it is ended soon where there is a pipe, else after long.
    """
    used: int | None = None
    asleep = 0
    while True:
        try:
            return process.communicate(stdin, timeout=_IDLE_S)
        except subprocess.TimeoutExpired:
            before, used = used, _read_time_asleep(process.pid)
            if used is not None and used == before:
                asleep = asleep + 1
            else:
                asleep = 0
            if asleep >= _MOST_IDLE or (asleep == 1 and _find_pipe(folder) is not None):
                process.kill()
                return None, process.communicate()[1]


def _read_time_asleep(pid: int) -> int | None:
    """The ticks of the processor that a sleeping process and its children have used.

    None where one of them is at work, or nobody can tell.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if words[0] != "S":
        return None
    # Its own, and those of children that have ended.
    ticks = sum(map(int, words[11:15]))
    for child in _list_children(pid):
        of_child = _read_time_asleep(child)
        if of_child is None:
            return None
        ticks += of_child
    return ticks


def _list_children(pid: int) -> list[int]:
    """The children of a process; none where the system does not list them."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except OSError:
        return []


def filter_names(folder: Path) -> list[str]:
    """The filters that git's configuration names for a folder, whoever wrote it. Raises
    `RepoUnusable`.
    """
    asked = ("config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    done = _start_git(folder, asked, b"")
    # 1: there is none.
    if done.returncode not in (0, 1):
        raise _explain_failure(folder, "config", done.stderr)
    return filters.read_filter_names(done.stdout)


def git_output(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """What git printed. Raises `RepoUnusable` with git's last line where it failed."""
    done = run_git(folder, *arguments, stdin=stdin)
    if done.returncode:
        raise _explain_failure(folder, _find_command(arguments), done.stderr)
    return done.stdout


def _explain_failure(folder: Path, command: str, stderr: bytes) -> RepoUnusable:
    if any(words in stderr for words in _NOT_FETCHED):
        return objects_missing(folder)
    return RepoUnusable(
        f"{folder}: git {command} failed: {_last_line(stderr)}", hint="run git status"
    )


def objects_missing(folder: Path) -> RepoUnusable:
    """What to raise for a partial clone: git would fetch by itself what it lacks."""
    what = f"{folder}: this clone lacks objects of its history, and skillrun fetches nothing"
    return RepoUnusable(what, hint="get them: git fetch --refetch --no-filter")


def open_repo(path: Path) -> Repo:
    """The checkout that holds `path`, for a command that reads: what a write that died has left
    there is said.

    Raises `RepoUnusable`: no such folder, no repository, a bare or a foreign one.
    """
    repo = _find_repo(path)
    report_writing(repo.root)
    return repo


def open_to_write(path: Path) -> Repo:
    """The same for a command that writes: what skillrun was killed at writing there is finished
    first.
    """
    repo = _find_repo(path)
    finish_writing(repo.root)
    return repo


def _find_repo(path: Path) -> Repo:
    if not path.is_dir():
        what = "does not exist"
        if path.exists():
            what = "is not a folder"
        raise RepoUnusable(f"{path}: {what}", hint="--repo takes a folder inside a git repository")
    asked = ("--is-bare-repository", "--show-toplevel", "--absolute-git-dir", "--git-common-dir")
    done = run_git(path, "rev-parse", *asked, "HEAD", "--symbolic-full-name", "HEAD")
    lines = os.fsdecode(done.stdout).split("\n")[:-1]
    if done.returncode and len(lines) < 4:
        raise _explain_unusable(path, lines, os.fsdecode(done.stderr))
    root = Path(lines[1])
    git_dir, common_dir = Path(lines[2]), (path / lines[3]).resolve()
    if not _leads_to(root / ".git", git_dir):
        what = (
            f"{path}: its git configuration says that its files lie elsewhere: {visible(str(root))}"
        )
        raise RepoUnusable(what, hint="git config --unset core.worktree")
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


def _leads_to(entry: Path, git_dir: Path) -> bool:
    """Whether the `.git` of a checkout is that folder, or the file that names it (worktrees,
    submodules).
    """
    try:
        if entry.is_dir():
            return entry.samefile(git_dir)
        named = os.fsdecode(read_beginning(entry, _LONGEST_LINK)).removeprefix("gitdir:").strip()
        return (entry.parent / named).samefile(git_dir)
    except (OSError, ValueError):
        return False


def finish_writing(folder: Path) -> None:
    """Finishes or drops what a skillrun that died has left half written below a folder; says so in
    one line.
    """
    from skillrun.core.journal import finish_leftover
    from skillrun.repo.stray_journal import explain_stray

    said = finish_leftover(folder)
    if said:
        print(f"skillrun: {said}", file=sys.stderr)
    _say_once(explain_stray(folder))


def report_writing(folder: Path) -> None:
    """Says in one line what a skillrun that died has left half written below a folder, and changes
    nothing.
    """
    from skillrun.core.journal import find_leftover
    from skillrun.repo.stray_journal import explain_stray

    _say_once(find_leftover(folder))
    _say_once(explain_stray(folder))


@cache
def _say_once(text: str | None) -> None:
    """A line for a person, once in a process: a command opens a repository several times, and
    copies of it.
    """
    if text is not None:
        print(f"skillrun: {text}", file=sys.stderr)


def _explain_unusable(path: Path, lines: list[str], stderr: str) -> RepoUnusable:
    if "dubious ownership" in stderr:
        hint = f"if you trust it: git config --global --add safe.directory {path.resolve()}"
        return RepoUnusable(
            f"{path}: git refuses a repository that belongs to another user", hint=hint
        )
    if lines[:1] == ["true"]:
        return RepoUnusable(
            f"{path}: a bare repository has no files to work on", hint="give a checkout of it"
        )
    if "not a git repository" in stderr:
        return RepoUnusable(
            f"{path}: no git repository here", hint=f"git init {path}, or give another --repo"
        )
    if "must be run in a work tree" in stderr:
        return RepoUnusable(f"{path}: inside git's own folder", hint="give the checkout itself")
    return RepoUnusable(
        f"{path}: git cannot read it: {_last_line(stderr.encode())}", hint="run git status there"
    )


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return "it said nothing"
    return lines[-1][:200]


def _short_branch(names: list[str]) -> str | None:
    name = ""
    if names:
        name = names[0]
    if not name.startswith("refs/heads/"):
        return None
    return name.removeprefix("refs/heads/")


def _unborn_branch(root: Path) -> str | None:
    name = os.fsdecode(run_git(root, "symbolic-ref", "-q", "--short", "HEAD").stdout).strip()
    return name or None


def _main_root(root: Path) -> Path:
    """The main checkout of a linked worktree; the worktree itself where there is none (a bare
    repository).
    """
    first = git_output(root, "worktree", "list", "--porcelain", "-z").split(b"\0\0")[0].split(b"\0")
    main = Path(os.fsdecode(first[0].removeprefix(b"worktree ")))
    if b"bare" not in first and (main / ".git").exists():
        return main
    return root


def take_snapshot(repo: Repo) -> Snapshot:
    """The tree as it is now. Compare a later one with `list_touched`."""
    states = {path: _describe_state(repo.root, path) for path in _dirty_paths(repo.root)}
    return Snapshot(head=read_head(repo.root), dirty=states)


def list_touched(repo: Repo, start: Snapshot) -> list[str]:
    """The paths whose content differs from the snapshot, sorted, committed in the meantime or not.

    Deleted files count; a file that was put back does not. Raises `RepoUnusable` where the start
    commit is gone.
    """
    base = start.head or _empty_tree(repo.root)
    since_base = _split_names(git_output(repo.root, "diff", *_DIFF, base, "--"))
    untracked = _split_names(git_output(repo.root, "ls-files", "-z", "-o", "--exclude-standard"))
    candidates = {name.rstrip("/") for name in since_base + untracked} | set(start.dirty)
    candidates |= _dirty_submodules(repo.root) | _list_unwatched(repo.root)
    known = set()
    for path in candidates:
        if path in start.dirty:
            known.add(path)
    changed = {path for path in known if start.dirty[path] != _describe_state(repo.root, path)}
    return sorted(changed | _unlike_commit(repo.root, base, candidates - known))


# Git would look into submodules by itself, in processes that know nothing of the filters that those
# name.
_OWN_FILES = "--ignore-submodules=dirty"
_DIFF = ("--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", _OWN_FILES)


def _dirty_paths(root: Path) -> set[str]:
    """Paths that differ from HEAD in the index or the folder, and untracked files."""
    listing = ("status", "--porcelain=v1", "-z", "--no-renames", "-uall", _OWN_FILES)
    found = _split_names(git_output(root, *listing))
    edited = set()
    for name in found:
        if name[:2] == " M":
            edited.add(name[3:])
    copies = _find_large_files(root, edited)
    dirty = {name[3:].rstrip("/") for name in found} - copies
    return dirty | _dirty_submodules(root) | _find_unwatched_edits(root)


def list_uncommitted(repo: Repo, *, read: Iterable[str] = ()) -> list[str]:
    """Paths that HEAD does not hold as they are, sorted: what git says, what it is told not to look
    at, and those of the files that were `read`, ignored ones and links' targets too. An edited
    submodule is one path.
    """
    root, dirty = repo.root, _dirty_paths(repo.root)
    if repo.head is None:
        return sorted({*dirty, *read})
    unheld = _list_unheld(root, repo.head, _with_targets(root, read))
    return sorted(dirty | _hidden_edits(root, repo.head) | unheld)


def _with_targets(root: Path, paths: Iterable[str]) -> set[str]:
    """The paths, and where those lead that are links: relative to the root, or absolute outside."""
    found = set(paths)
    for path in paths:
        found.add(_relative_to(root.resolve(), (root / path).resolve()))
    return found


def _relative_to(root: Path, path: Path) -> str:
    if path.is_relative_to(root):
        return str(path.relative_to(root))
    return str(path)


def _hidden_edits(root: Path, commit: str) -> set[str]:
    """Paths that differ from the commit, or are not there, and of which git says nothing: those
    that are assumed unchanged, and those that a sparse checkout leaves out.
    """
    found = _unlike_commit(root, commit, _list_hidden(root))
    for path in find_submodules(root):
        if is_checkout(root / path) and _has_hidden_edits(root / path):
            found.add(path)
    return found


def _has_hidden_edits(submodule: Path) -> bool:
    head = read_head(submodule)
    return head is not None and bool(_hidden_edits(submodule, head))


def _find_unwatched_edits(root: Path) -> set[str]:
    """Paths that differ from HEAD, and of which git is told to say nothing."""
    unwatched, head = _list_unwatched(root), read_head(root)
    if head is None:
        return unwatched
    return _unlike_commit(root, head, unwatched)


def _list_unwatched(root: Path) -> set[str]:
    """Paths that git is told not to look at, without those that a sparse checkout leaves out: there
    may be as many as a repository has.
    """
    hidden = _list_hidden(root)
    if not hidden:
        return hidden
    sparse = run_git(root, "config", "--type=bool", "core.sparseCheckout").stdout.strip() == b"true"
    if not sparse:
        return hidden
    return {path for path in hidden if os.path.lexists(root / path)}


def _list_hidden(root: Path) -> set[str]:
    """Paths of the index that git is told not to look at."""
    found = set()
    for entry in _split_names(git_output(root, "ls-files", "-v", "-z")):
        # "h rates.json": assumed unchanged; S: not in the folder on purpose.
        if entry[0] in string.ascii_lowercase + "S":
            found.add(entry[2:])
    return found


def _list_unheld(root: Path, commit: str, paths: set[str]) -> set[str]:
    """Those of the paths that the commit does not hold as they are, nor the commit of a submodule
    that it names.
    """
    unheld = _unlike_commit(root, commit, paths)
    for submodule, inner_commit in find_submodules(root).items():
        start = f"{submodule}/"
        within = {path.removeprefix(start) for path in unheld if path.startswith(start)}
        if within and _stands_on(root / submodule, inner_commit):
            held = within - _list_unheld(root / submodule, inner_commit, within)
            unheld -= {start + path for path in held}
    return unheld


def _stands_on(submodule: Path, commit: str) -> bool:
    return is_checkout(submodule) and read_head(submodule) == commit


def count_uncommitted(repo: Repo) -> int:
    """How many changes HEAD does not hold; an untracked folder is one."""
    listing = ("status", "--porcelain=v1", "-z", "--no-renames", _OWN_FILES)
    found = _split_names(git_output(repo.root, *listing))
    edited = set()
    for name in found:
        if name[:2] == " M":
            edited.add(name[3:])
    return (
        len(found) - len(_find_large_files(repo.root, edited)) + len(_dirty_submodules(repo.root))
    )


def _dirty_submodules(root: Path) -> set[str]:
    """Those whose own files differ from their HEAD. Each is asked as a checkout of its own."""
    found = set()
    for path in find_submodules(root):
        if is_checkout(root / path) and _dirty_paths(root / path):
            found.add(path)
    return found


def find_submodules(root: Path) -> dict[str, str]:
    """Path of each submodule in the index -> the commit that the index names for it."""
    found = {}
    for entry in _split_names(git_output(root, "ls-files", "-s", "-z")):
        # "160000 4b825dc6... 0\tvendor/lib"
        facts, _, path = entry.partition("\t")
        if facts.startswith(_SUBMODULE_MODE):
            found[path] = facts.split(" ")[1]
    return found


def is_checkout(folder: Path) -> bool:
    """Whether a folder holds a repository of its own: git would otherwise answer for the one around
    it.
    """
    if folder.is_symlink() or not os.path.lexists(folder / ".git"):
        return False
    top = run_git(folder, "rev-parse", "--show-toplevel").stdout
    return os.fsdecode(top).rstrip("\n") == str(folder.resolve())


def _find_large_files(root: Path, edited: set[str]) -> set[str]:
    """Those of the paths that only seem edited: Git LFS put them in the place of what git keeps,
    their pointers.
    """
    if not edited or "lfs" not in filter_names(root):
        return set()
    kept = {}
    for entry in _split_names(git_output(root, "ls-files", "-s", "-z")):
        facts, _, path = entry.partition("\t")
        if path in edited:
            kept[path] = facts.split(" ")[1]
    return _find_pointed_to(root, kept)


def _find_pointed_to(root: Path, kept: dict[str, str]) -> set[str]:
    """Those of the paths whose blob is a pointer to the file that lies there."""
    found = set()
    for path, blob in kept.items():
        file = root / path
        if file.is_symlink() or not file.is_file():
            continue
        size = int(git_output(root, "cat-file", "-s", blob))
        if size > filters.LARGEST_POINTER:
            continue
        if filters.is_pointer_to(git_output(root, "cat-file", "blob", blob), file):
            found.add(path)
    return found


def _split_names(output: bytes) -> list[str]:
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def read_head(root: Path) -> str | None:
    """The commit that a working tree stands on; None before the first."""
    done = run_git(root, "rev-parse", "-q", "--verify", "HEAD")
    return done.stdout.decode().strip() or None


def _empty_tree(root: Path) -> str:
    return git_output(root, "hash-object", "-t", "tree", "--stdin").decode().strip()


def _describe_state(root: Path, path: str) -> str:
    """Mode and content of a path as one word, e.g. "100644:<sha256>"."""
    full = root / path
    try:
        seen = os.lstat(full)
        if stat.S_ISLNK(seen.st_mode):
            return "120000:" + hashlib.sha256(os.fsencode(full.readlink())).hexdigest()
        if stat.S_ISDIR(seen.st_mode):
            return f"{_SUBMODULE_MODE}:{_submodule_state(full)}"
        mode = "100644"
        if seen.st_mode & stat.S_IXUSR:
            mode = "100755"
        if seen.st_size > _LARGE or not stat.S_ISREG(seen.st_mode):
            return f"{mode}:size {seen.st_size} mtime {seen.st_mtime_ns}"
        with full.open("rb") as file:
            return f"{mode}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except (FileNotFoundError, NotADirectoryError):
        return "deleted"
    except OSError as error:
        return f"unreadable:{error.errno}"


def _submodule_state(folder: Path) -> str:
    if not is_checkout(folder):
        return "empty"
    return digest(
        Snapshot(
            read_head(folder), {p: _describe_state(folder, p) for p in _dirty_paths(folder)}
        ).as_json()
    )


def _unlike_commit(root: Path, commit: str, paths: Iterable[str]) -> set[str]:
    """Those of the paths whose content is not what the commit holds.

    Git's diff also names a path that merely left the index, so those that the commit holds are
    compared by content.
    """
    wanted = set(paths)
    held = {path: (mode, blob) for path, mode, blob in _list_entries(root, commit, wanted)}
    present = []
    for path, (mode, _) in held.items():
        is_plain = "\n" not in path and mode in ("100644", "100755")
        if is_plain and (root / path).is_file() and not (root / path).is_symlink():
            present.append(path)
    same = {
        path
        for path, (mode, blob) in held.items()
        if mode == "120000" and _is_link(root, path, blob)
    }
    for path, blob in zip(present, _hash_files(root, present), strict=True):
        mode, _, _ = _describe_state(root, path).partition(":")
        if held[path] == (mode, blob):
            same.add(path)
    changed = {path: held[path][1] for path in present if path not in same}
    if changed and "lfs" in filter_names(root):
        same |= _find_pointed_to(root, changed)
    return wanted - same


def _is_link(root: Path, path: str, blob: str) -> bool:
    """Whether a path is the symbolic link that git keeps as this blob."""
    if not (root / path).is_symlink():
        return False
    target = os.fsencode((root / path).readlink())
    return git_output(root, "hash-object", "--stdin", stdin=target).decode().strip() == blob


def _hash_files(root: Path, paths: list[str]) -> list[str]:
    """The blob that git would make of each file."""
    if not paths:
        return []
    stdin = b"".join(os.fsencode(path) + b"\n" for path in paths)
    return git_output(root, "hash-object", "--stdin-paths", stdin=stdin).decode().split()


def _list_entries(root: Path, commit: str, paths: set[str]) -> list[tuple[str, str, str]]:
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
