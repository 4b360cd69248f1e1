"""Jobs that are treated another way because of their number: a proof delivers a few numbers, and
says nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.repo.python import Project
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, listed
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.effects import Effects
from skillrun.wall.watched.key_tests import KeyTest, KeyTests
from skillrun.wall.watched.reach import Reach

ID = "special-cases"
HELP = (
    "What a proof shows of some jobs holds for all only where all are treated alike. Found, in code "
    "that a handler reaches and newly: a condition on which an effect or a write depends and that "
    "singles out values of a key field: a remainder, a hash, a list of numbers (error), a text "
    "(warning)."
)
_HINT = (
    "treat all jobs alike, or decide by what a row says of the job; where it is meant, a person has"
    " to decide that"
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each condition that the base has not."""
    now = _find_tests(diff, diff.after)
    if not now:
        return
    # Of a first job nothing is taken away: whoever reviews it sees what it is.
    is_first = not any(spec.old_document is not None for spec in diff.specs)
    known = Counter(test.identity for test in _find_tests(diff, diff.before))
    for test in now:
        known[test.identity] -= 1
        if known[test.identity] >= 0:
            continue
        said = (
            f"{quoted(test.text)} treats some jobs another way by their key, and decides about"
            f" {test.about}"
        )
        make = doubtful if test.is_word or is_first else taken
        yield make(ID, _file_at(diff, test), test.line, said, hint=_HINT)


def _find_tests(diff: Diff, sources: CommitSources) -> list[KeyTest]:
    """Both sides are asked about the handlers and keys of both, so that what moved is known
    again.
    """
    handlers: list[str] = []
    effects: set[str] = set()
    fields: set[str] = set()
    for file in diff.specs:
        for document in (file.old_document, file.new_document):
            value = document.value if document is not None else None
            handlers.append(str(at(value, "handler")))
            for effect in listed(at(value, "effects")):
                effects.add(str(at(effect, "call")).replace(":", "."))
            for name in listed(at(value, "idempotency", "key")):
                fields.add(str(name).rpartition(".")[2])
    if not fields:
        return []
    project = Project(sources)
    reach = Reach(project)
    reach.follow(list(dict.fromkeys(handlers)))
    found = Effects(reach, frozenset(project.origin(name) for name in effects))
    found.settle()
    return KeyTests(reach, found, frozenset(fields)).find()


def _file_at(diff: Diff, test: KeyTest) -> File:
    for file in diff.files:
        if file.path == test.path:
            return file
    text = diff.after.texts.get(test.path)
    return File(test.path, test.path, text, text)
