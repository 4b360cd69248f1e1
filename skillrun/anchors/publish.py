"""Publishes the heads of a ledger, and finds again what was published, where that can be found
without being told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skillrun.actor import host_id
from skillrun.anchors.files import add_lines, read_file, write_statement
from skillrun.anchors.notes import REF, read_notes, write_note
from skillrun.canonical import digest
from skillrun.errors import Misuse, SkillrunError
from skillrun.ledger.anchors import Anchor, heads, places, record
from skillrun.repo.git import Repo

NOTE, PLAIN, INTOTO = "git-note", "file", "intoto"


@dataclass(frozen=True)
class Published:
    """What an anchoring did: every head is in `place` now; `new` of them were not known to be."""

    kind: str
    place: str
    anchors: tuple[Anchor, ...]
    new: int


def name_of(ledger: Path) -> str:
    """The name that the anchors of the ledger at a path carry; says nothing of machine or path to
    who does not know.
    """
    return digest([host_id(), str(ledger.absolute())])[:16]


def publish(
    ledger: Path, kind: str, *, repo: Repo | None = None, file: Path | None = None
) -> Published:
    """Publishes the head of every run: first outside, then the ledger remembers it. Once more
    changes nothing.

    `repo` is needed for a git note, `file` for the others. Raises LedgerUnusable, Refused where the
    place cannot be
    written, Misuse where it holds something else, or where there is no run.
    """
    found = heads(ledger, name_of(ledger))
    if not found:
        raise Misuse(f"{ledger}: no run to anchor", hint="the first run makes one")
    if kind == NOTE:
        assert repo is not None
        held = {anchor.line for anchor in read_notes(repo.root)}
        if new := [anchor for anchor in found if anchor.line not in held]:
            write_note(repo, new)
        place = REF
    else:
        assert file is not None
        (add_lines if kind == PLAIN else write_statement)(file.absolute(), found)
        place = str(file.absolute())
    return Published(kind, place, tuple(found), record(ledger, found, kind, place))


def find(ledger: Path, repo: Repo | None, named: Iterable[Path] = ()) -> list[Anchor]:
    """The anchors in these files, in the notes of the repository, and in the files that the ledger
    remembers.

    Raises Misuse for a named file without anchors; what the ledger remembers and is not there is
    passed over.
    """
    files = [anchor for path in named for anchor in read_file(path.absolute(), named=True)]
    notes = read_notes(repo.root) if repo is not None else []
    return [*files, *notes, *_remembered(ledger)]


def _remembered(ledger: Path) -> Iterator[Anchor]:
    for place in places(ledger, (PLAIN, INTOTO)):
        with contextlib.suppress(SkillrunError):
            yield from read_file(Path(place))
