"""State queries that the base does not hold, and that cannot see what they are there for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillrun.contract.positions import Document
from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.queries import dialect_of, find_blindness, same_query
from skillrun.wall.gaming.specs import at, base_document, mapping

ID = "blind-query"
HELP = (
    "A query that gives the same answer whatever the handler did proves nothing. Found, where the "
    "base does not hold it: no table of the application, a condition that is never true, LIMIT 0, "
    "a count that is compared with what it always exceeds (errors); DISTINCT, GROUP BY without a "
    "count, UNION, INTERSECT, EXCEPT, MAX, MIN, EXISTS, LIMIT, FETCH and OFFSET, which hide "
    "duplicates or rows, a value that is the same for every row, and random() (warnings)."
)
HINT = "select the columns of every row that the job writes, in an order"


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each thing that a new query does not see."""
    for file in diff.specs:
        if file.new_document is not None:
            yield from _find_in(file, file.new_document, base_document(diff, file))


def _find_in(file: File, spec: Document, base: Document | None) -> Iterator[Finding]:
    dialect = dialect_of(spec.value)
    known = list(_list_queries(base.value).values()) if base is not None else []
    for path, query in _list_queries(spec.value).items():
        if any(same_query(query, other, dialect) for other in known):
            continue
        for blindness in find_blindness(query, dialect):
            say = taken if blindness.certain else doubtful
            name = ".".join(path)
            said = f"{name} sees too little: {quoted(query)}: {blindness.words}"
            yield say(ID, file, spec.line(path), said, hint=HINT)


def _list_queries(spec: Any) -> dict[tuple[str, ...], str]:
    """Path -> query, of a spec that may be malformed elsewhere."""
    found: dict[tuple[str, ...], str] = {}
    for name, query in mapping(at(spec, "proof", "state")).items():
        if isinstance(query, str):
            found["proof", "state", name] = query
    last = at(spec, "proof", "dead_letters")
    if isinstance(last, str):
        found[("proof", "dead_letters")] = last
    return found
