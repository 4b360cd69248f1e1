"""What git tells of where commits came from: made in a working tree, or brought there from
elsewhere.

It is read from HEAD's reflog, which no clone brings along, and from what git notes while something
is being merged, picked, reverted, rebased or squashed. `git checkout COMMIT -- FILES` and
`cherry-pick --no-commit` leave no note: for git these are edits, until they are committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skillrun.repo.git import run_git

# In the place of a commit's id, before there is one.
UNBORN = "-"
# So far back the reflog, and what was fetched, is read.
_MOST_STEPS = 5000
_MOST_BYTES = 1024 * 1024  # of a note of git's
# How git's ids of an empty file begin, with SHA-1 and with SHA-256.
_EMPTY_FILE = ("e69de29bb2d1d643", "473a0f4c3be8a936")
_MERGED_HERE = re.compile(r"merge .*: Merge made by ")
_SQUASHED = "Squashed commit of the following"
_ID = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_WHOLE_ID = re.compile(_ID)
_ID_FIRST = re.compile(rf"(?m)^({_ID})\b")
_ID_LISTED = re.compile(rf"(?m)^[ ]*commit ({_ID})$")
# How git's words begin for what it makes anew.
_MAKING = ("commit", "revert:")
# "This reverts commit 4b825dc6..., reversing changes made to ..."
_ID_REVERTED = re.compile(rf"(?m)^This reverts commit ({_ID})\b")
# What git notes of work that is not finished -> where the ids of the commits stand in it.
_NOTES = {
    "MERGE_HEAD": _ID_FIRST,
    "CHERRY_PICK_HEAD": _ID_FIRST,
    "REVERT_HEAD": _ID_FIRST,
    "SQUASH_MSG": _ID_LISTED,
    "rebase-merge/onto": _ID_FIRST,
    "rebase-apply/onto": _ID_FIRST,
    "rebase-apply/applying": _ID_FIRST,  # mails, which have no ids
}


@dataclass(frozen=True)
class Arrival:
    """Work of git's that is not finished: the ids of the commits that it brings.

    Where git names none, a word stands for them that no other work has.
    """

    commits: tuple[str, ...]

    def is_accepted(self, accepted: Iterable[str]) -> bool:
        """Whether it brings nothing but accepted commits."""
        return set(self.commits) <= set(accepted)


def find_arrivals(root: Path) -> list[Arrival]:
    """What is being merged, picked, reverted, rebased or squashed in a working tree right now."""
    found: list[Arrival] = []
    git_dir = _find_git_dir(root)
    for note, form in _NOTES.items():
        text = _read_note(git_dir / note)
        if text is not None:
            ids = form.findall(text) or [_name_work(git_dir / note)]
            found.append(Arrival(tuple(ids)))
    return found


def find_commits_made_here(root: Path, known: Mapping[str, str]) -> dict[str, str]:
    """The commits of HEAD's reflog that were made in this working tree on top of known ones: commit
    -> tree.

    `known` is given in the same way. A commit counts as made here where the reflog says `commit`
    and all its parents
    count, or it replaces (`--amend`) one that counts. A commit with the tree of one that counts
    brings nothing new,
    however it came about; one with the tree of a fetched commit, with files as fetched commits
    changed them, or squashed from others, brings what these hold.
    """
    if not known:
        return {}
    try:
        return _follow_reflog(root, known)
    except _HistoryUnreadable:
        return {}


def _follow_reflog(root: Path, known: Mapping[str, str]) -> dict[str, str]:
    accepted = dict(known)
    made_here: dict[str, str] = {}
    trees = set(known.values()) - {""}
    steps = list(_read_reflog(root))
    made = _list_made(root, steps)
    fetched = _find_fetched_trees(root, made, known)
    changes: set[_Change] | None = None
    before: _Step | None = None
    for step in steps:
        is_new = fetched.get(step.tree, set()) <= accepted.keys() and not _is_squashed(
            root, step, accepted
        )
        is_made_on = _is_made_on(step, before, accepted) or _takes_back(root, step, accepted)
        is_made_here = is_new and is_made_on
        if is_made_here and step.commit not in known and step.tree not in trees:
            if changes is None:
                changes = _find_fetched_changes(root, made, accepted)
            is_made_here = not changes or changes.isdisjoint(_list_changes(root, step.commit))
        if step.tree in trees or is_made_here:
            accepted[step.commit] = step.tree
            trees.add(step.tree)
            if step.commit not in known:
                made_here[step.commit] = step.tree
        before = step
    return made_here


class _HistoryUnreadable(Exception):
    """Git cannot list what was fetched, as where an object is missing: nobody knows what is own."""


@dataclass(frozen=True)
class _Step:
    """One entry of a reflog: where HEAD went to, by which action, and what git said of it."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    action: str
    said: str


def _is_made_on(step: _Step, before: _Step | None, accepted: Mapping[str, str]) -> bool:
    if step.action == "commit":
        return len(step.parents) == 1 and step.parents[0] in accepted
    if step.action == "commit (merge)" or _is_merged_here(step):
        return len(step.parents) > 1 and accepted.keys() >= set(step.parents)
    if step.action == "commit (initial)":
        return not step.parents and UNBORN in accepted
    if step.action == "commit (amend)" and before is not None:
        return before.commit in accepted and step.parents == before.parents
    return False


def _takes_back(root: Path, step: _Step, accepted: Mapping[str, str]) -> bool:
    """Whether `git revert` took back a commit of the history that was agreed to: what comes back
    with it stood there before. Of a fetched one it may be anything.
    """
    is_on_accepted = len(step.parents) == 1 and step.parents[0] in accepted
    if step.action != "revert" or not is_on_accepted:
        return False
    reverted = _ID_REVERTED.search(_read_message(root, step.commit))
    return reverted is not None and _is_ancestor(root, reverted[1], step.parents[0])


def _is_ancestor(root: Path, commit: str, of: str) -> bool:
    return run_git(root, "merge-base", "--is-ancestor", commit, of).returncode == 0


def _read_message(root: Path, commit: str) -> str:
    options = ("-1", "--no-show-signature", "--format=%B", commit)
    return run_git(root, "log", *options, "--").stdout.decode("utf-8", "replace")


def _is_merged_here(step: _Step) -> bool:
    """Git's own words for a merge that it made; a fast-forward takes over what somebody else
    made.
    """
    return bool(_MERGED_HERE.match(f"{step.action}: {step.said}"))


def _is_squashed(root: Path, step: _Step, accepted: Mapping[str, str]) -> bool:
    """Whether a commit's message, as git proposes it, names commits that are not accepted."""
    if not (step.action.startswith("commit") and step.said.startswith(_SQUASHED)):
        return False
    named = _ID_LISTED.findall(_read_message(root, step.commit))
    return not accepted.keys() >= set(named)


def _read_reflog(root: Path) -> Iterator[_Step]:
    """The entries of HEAD's reflog in this working tree, oldest first; none where git keeps
    none.
    """
    form = "--format=%H%x1f%T%x1f%P%x1f%gs"
    # No signature is looked at: that would start a program which the repository's configuration
    # names.
    options = ("--no-show-signature", "-z", f"--max-count={_MOST_STEPS}", form)
    done = run_git(root, "log", "--walk-reflogs", *options, "HEAD", "--")
    entries = done.stdout.decode("utf-8", "replace").split("\0")
    for entry in reversed(entries):
        fields = entry.split("\x1f", 3)
        if len(fields) == 4:
            commit, tree, parents, words = fields
            action, _, said = words.partition(":")
            yield _Step(commit, tree, tuple(parents.split()), action, said.strip())


def _list_made(root: Path, steps: Iterable[_Step]) -> set[str]:
    """The commits that were made in this repository, in another working tree of it too: they may
    have been pushed, and fetched again. No fetch brings a reflog along.
    """
    made = set[str]()
    for step in steps:
        if f"{step.action}:".startswith(_MAKING) or _is_merged_here(step):
            made.add(step.commit)
    options = ("--no-show-signature", "-z", f"--max-count={_MOST_STEPS}", "--format=%H %gs")
    # Where no branch has a reflog git may say so by its exit code: then none was made.
    done = run_git(root, "log", "--walk-reflogs", *options, "--branches", "--")
    for entry in done.stdout.decode("utf-8", "replace").split("\0"):
        # "4b825dc6... commit (amend): Receipts", "4b825dc6... merge work: Merge made by ..."
        commit, _, words = entry.partition(" ")
        if words.startswith(_MAKING) or _MERGED_HERE.match(words):
            made.add(commit)
    return made


def _list_fetched(root: Path) -> list[str]:
    """What the last fetch brought, also without a branch of a remote for it."""
    found: list[str] = _ID_FIRST.findall(_read_note(_find_git_dir(root) / "FETCH_HEAD") or "")
    return found


def _list_unaccepted(
    root: Path, form: str, made: set[str], accepted: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """(commit, what `form` shows of it) of whatever stands in this repository under any name, or
    was fetched last, and was not made here: what a fetch brings may be called a branch or a tag
    of one's own. What is accepted is left out with all that it stands on. A stash is made here.
    """
    options = ("--no-show-signature", "--ignore-missing", f"--max-count={_MOST_STEPS}")
    # "-" stands among the accepted, and the words of work that git has not finished.
    known = filter(_WHOLE_ID.fullmatch, accepted)
    left_out = (f"^{commit}" for commit in known)
    # Git before 2.42 takes no options from its input, and ends.
    asked = "\n".join((*_list_fetched(root), *left_out, "")).encode()
    shown = (*options, f"--format=%H {form}", "--exclude=refs/stash", "--all", "--stdin")
    listed = _list_or_raise(root, "log", *shown, stdin=asked)
    for line in listed.decode("utf-8", "replace").splitlines():
        commit, _, value = line.partition(" ")
        if commit not in made:
            yield commit, value


def _list_or_raise(root: Path, *arguments: str, stdin: bytes) -> bytes:
    """What git prints. Raises _HistoryUnreadable where it fails."""
    done = run_git(root, *arguments, stdin=stdin)
    if done.returncode:
        raise _HistoryUnreadable
    return done.stdout


def _find_fetched_trees(root: Path, made: set[str], known: Iterable[str]) -> dict[str, set[str]]:
    """Tree -> the commits with it that were fetched and not made here, without the history of those
    that were agreed to: whoever takes back what it ends with makes a tree of it again.
    """
    trees: dict[str, set[str]] = {}
    for commit, tree in _list_unaccepted(root, "%T", made, known):
        trees.setdefault(tree, set()).add(commit)
    return trees


_Change = tuple[str, str]
"""A path, and the id of what stands there since a commit."""


def _find_fetched_changes(root: Path, made: set[str], accepted: Iterable[str]) -> set[_Change]:
    """What fetched commits changed that are neither accepted nor made here."""
    theirs = dict(_list_unaccepted(root, "", made, accepted))
    if not theirs:
        return set()
    return set(_list_changes(root, *theirs))


def _list_changes(root: Path, *commits: str) -> Iterator[_Change]:
    """What stands at each path that the commits changed, a merge where it is like none of its
    parents; not what they removed, and nothing of an empty file, which is the same wherever
    somebody makes one.
    """
    asked = "\n".join((*commits, "")).encode()
    options = ("--stdin", "-r", "-c", "--raw", "--root", "--no-commit-id", "--no-renames", "-z")
    listed = _list_or_raise(root, "diff-tree", *options, "--no-abbrev", stdin=asked)
    # ":100644 100644 <old> <new> M", the path, and so on. Of a merge with two parents
    # "::100644 100644 100644 <old> <old> <new> MM".
    fields = os.fsdecode(listed).split("\0")
    for facts, path in zip(fields[::2], fields[1::2], strict=False):
        blob = facts.split(" ")[-2]
        if blob.strip("0") and not blob.startswith(_EMPTY_FILE):
            yield path, blob


def _name_work(note: Path) -> str:
    status = note.lstat()
    return f"{note.name} {status.st_ino} {status.st_mtime_ns}"


def _find_git_dir(root: Path) -> Path:
    """Git's folder of a working tree, also of a linked one."""
    done = run_git(root, "rev-parse", "--absolute-git-dir")
    return Path(os.fsdecode(done.stdout).rstrip("\n"))


def _read_note(path: Path) -> str | None:
    """A small file of git's own; None where there is none. What cannot be read is there, and says
    nothing.
    """
    if not os.path.lexists(path):
        return None
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            return (file.read(_MOST_BYTES) or b"").decode("utf-8", "replace")
    except OSError:
        return ""
