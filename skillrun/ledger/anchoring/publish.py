"""Publishes the heads of a ledger, and finds again what was published, where that can be found
without being told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.actor import host_id
from skillrun.core.canonical import digest
from skillrun.core.errors import Misuse, SkillrunError
from skillrun.ledger.anchoring.files import add_lines, read_file, write_statement
from skillrun.ledger.anchoring.notes import REF, read_notes, write_note
from skillrun.ledger.anchors import Anchor, list_heads, list_places, record_anchors
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


def publish_heads(
    ledger: Path, kind: str, *, repo: Repo | None = None, file: Path | None = None
) -> Published:
    """Publishes the head of every run: first outside, then the ledger remembers it. Once more
    changes nothing.

    `repo` is needed for a git note, `file` for the others. Raises LedgerUnusable, Refused where the
    place cannot be written, Misuse where it holds something else, or where there is no run.
    """
    found = list_heads(ledger, name_of(ledger))
    if not found:
        raise Misuse(f"{ledger}: no run to anchor", hint="the first run makes one")
    if kind == NOTE:
        assert repo is not None
        _add_to_notes(repo, found)
        place = REF
    else:
        assert file is not None
        if kind == PLAIN:
            write = add_lines
        else:
            write = write_statement
        write(file.absolute(), found)
        place = str(file.absolute())
    # Last, so that a ledger never says that it published what is nowhere.
    new = record_anchors(ledger, found, kind, place)
    return Published(kind, place, tuple(found), new)


def _add_to_notes(repo: Repo, anchors: list[Anchor]) -> None:
    held = {anchor.line for anchor in read_notes(repo.root)}
    new = []
    for anchor in anchors:
        if anchor.line not in held:
            new.append(anchor)
    if new:
        write_note(repo, new)


def find_anchors(ledger: Path, repo: Repo | None, named: Iterable[Path] = ()) -> list[Anchor]:
    """The anchors in these files, in the notes of the repository, and in the files that the ledger
    remembers.

    Raises Misuse for a named file without anchors; what the ledger remembers and is not there is
    passed over.
    """
    found: list[Anchor] = []
    for path in named:
        found += read_file(path.absolute(), named=True)
    if repo is not None:
        found += read_notes(repo.root)
    found += _read_remembered(ledger)
    return found


def _read_remembered(ledger: Path) -> Iterator[Anchor]:
    # The files may be on another machine, or gone: whoever insists on one names it.
    for place in list_places(ledger, (PLAIN, INTOTO)):
        with contextlib.suppress(SkillrunError):
            yield from read_file(Path(place))
