"""Anchors in git notes (refs/notes/skillrun), one a line, so that `git notes merge -s
cat_sort_uniq` loses none.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable
from pathlib import Path

from skillrun.core.errors import Refused
from skillrun.ledger.anchors import Anchor, read_lines
from skillrun.repo.git import Repo, git_output, run_git

REF = "refs/notes/skillrun"
# Each waits up to a tenth of a second: a few seconds in all for others that anchor at the same
# time, and whoever meets a lock that was left behind is soon told.
_TRIES = 50
_NOBODY = ("-c", "user.name=skillrun", "-c", "user.email=skillrun@localhost")


def read_notes(root: Path, *, named: bool = False) -> list[Anchor]:
    """The anchors in all notes of a repository, whatever became of the commits that they were put
    on.
    """
    listed = run_git(root, "notes", f"--ref={REF}", "list").stdout.decode("ascii", "replace")
    # A line is the blob of a note and the commit that it is on.
    blobs = ""
    for line in listed.split("\n"):
        if line:
            blobs += f"{line.split()[0]}\n"
    if not blobs:
        return []
    # The batch has a header before each blob, which read_lines passes over.
    texts = git_output(root, "cat-file", "--batch", stdin=blobs.encode()).decode("utf-8", "replace")
    return read_lines(texts, REF, named=named)


def write_note(repo: Repo, anchors: Iterable[Anchor]) -> None:
    """Adds anchors to the note of HEAD, beside what is there.

    The note is written under a name of its own, and then takes the place of the old one only if
    nobody else has changed that in the meantime: `git notes add` alone would lose the note of
    another process. Raises Refused where there is no commit, or git cannot write.
    """
    if repo.head is None:
        raise Refused(
            f"{repo.root}: no commit to put the note on", hint="commit first, or anchor --to FILE"
        )
    lines = [anchor.line for anchor in anchors]
    draft = f"{REF}-{os.getpid()}-{random.randrange(10**9)}"
    for _ in range(_TRIES):
        try:
            if _replace_note(repo.root, draft, repo.head, lines):
                return
        finally:
            run_git(repo.root, "update-ref", "-d", draft)
        time.sleep(random.uniform(0.01, 0.1))
    raise Refused(
        f"{repo.root}: {REF} cannot be changed",
        hint="see whether a file .lock was left in .git/refs/notes",
    )


def _replace_note(root: Path, draft: str, commit: str, lines: list[str]) -> bool:
    """Whether the note has these lines now; False where somebody else has changed the notes
    first.
    """
    before = _commit_of(root, REF)
    if before:
        git_output(root, "update-ref", draft, before)
    note = _lines_of_note(root, draft, commit)
    there = set(note)
    for line in lines:
        if line not in there:
            note.append(line)
    text = "\n".join(note) + "\n"
    # A machine of CI often has no name for git, and git would refuse to write a commit.
    who: tuple[str, ...] = ()
    if run_git(root, "var", "GIT_COMMITTER_IDENT").returncode:
        who = _NOBODY
    add = (*who, "notes", f"--ref={draft}", "add", "-f", "-F", "-", commit)
    git_output(root, *add, stdin=text.encode("utf-8", "surrogateescape"))
    after = _commit_of(root, draft) or ""
    # git changes the ref only where it still is what was read; zeros: where there is none.
    expected = before or "0" * len(after)
    update = run_git(root, "update-ref", "-m", "skillrun: anchor", REF, after, expected)
    return update.returncode == 0


def _lines_of_note(root: Path, ref: str, commit: str) -> list[str]:
    shown = run_git(root, "notes", f"--ref={ref}", "show", commit)
    if shown.returncode:
        return []
    return shown.stdout.decode("utf-8", "surrogateescape").splitlines()


def _commit_of(root: Path, ref: str) -> str | None:
    return run_git(root, "rev-parse", "-q", "--verify", ref).stdout.decode().strip() or None
