"""A thinner proof: fewer state queries, columns, poison or examples, or no proof at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import Pair, listed, mapping, pairs

ID = "thinner-proof"
HELP = (
    "The proof compares what the spec's queries see. Found: the proof section, a state query, a column, the query for "
    "dead letters, a poisonous message or an example that is gone, and a query that a WHERE or LIMIT narrows."
)
_COLUMNS = re.compile(r"select\s+(.*?)\s+from\s", re.IGNORECASE | re.DOTALL)
_TABLE = re.compile(r"\b(?:from|join)\s+([\w.]+)")
_NARROWING = ("where", "limit", "having")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each part of the proof that sees less."""
    for pair in pairs(diff):
        was, now = pair.both("proof")
        if was and not now:
            message = "the section proof: is gone: the job is read, not proved"
            yield taken(ID, pair.file, 1, message)
        elif was:
            yield from _python(pair)
            yield from _state(pair)
            yield from _dead_letters(pair)
            yield from _lost(pair, ("proof", "poison"), "proof.poison")
        yield from _lost(pair, ("payload", "examples"), "payload.examples")


def _python(pair: Pair) -> Iterator[Finding]:
    """What runs the handler could also run something else."""
    was, now = pair.both("proof", "python")
    if now is not None and was != now:
        said = f"proof.python was {quoted(was or 'not set')} and is {quoted(now)}"
        yield doubtful(ID, pair.file, pair.line("proof", "python"), said, hint="look at what it is")


def _state(pair: Pair) -> Iterator[Finding]:
    old, new = (mapping(value) for value in pair.both("proof", "state"))
    known = {_normal(query) for query in new.values()}
    for name, query in old.items():
        place = (pair.file, pair.line("proof", "state", name))
        if name in new:
            yield from (taken(ID, *place, said) for said in _narrower(f"proof.state.{name}", query, new[name]))
            lost = _tables(query) - _tables(new[name])
            if lost:
                yield doubtful(ID, *place, f"proof.state.{name} reads {quoted(', '.join(sorted(lost)))} no more")
        elif _normal(query) not in known:
            yield taken(ID, *place, f"proof.state.{name} is gone; the base asks {quoted(query)}")


def _dead_letters(pair: Pair) -> Iterator[Finding]:
    was, now = pair.both("proof", "dead_letters")
    place = (pair.file, pair.line("proof", "dead_letters"))
    if was and not now:
        yield taken(ID, *place, f"proof.dead_letters is gone; the base asks {quoted(was)}")
    elif was:
        yield from (taken(ID, *place, said) for said in _narrower("proof.dead_letters", was, now))


def _narrower(name: str, was: object, now: object) -> Iterator[str]:
    """How a query sees less than before; nothing where that cannot be told from its text."""
    old, new = _normal(was), _normal(now)
    for word in _NARROWING:
        if f" {word} " in new and f" {word} " not in old:
            yield f"{name} is narrowed by {word.upper()}: it was {quoted(was)} and is {quoted(now)}"
            return
    columns, left = _columns(old), _columns(new)
    lost = [column for column in columns if not any(column in seen for seen in left)]
    if lost and left != ["*"]:
        yield f"{name} reads {', '.join(quoted(c) for c in lost)} no more: it was {quoted(was)} and is {quoted(now)}"


def _tables(query: object) -> set[str]:
    return set(_TABLE.findall(_normal(query)))


def _columns(query: str) -> list[str]:
    """What a query selects; "*" is everything, so it loses something against any list."""
    found = _COLUMNS.match(f"{query} ")
    return [column.strip() for column in re.split(r",(?![^(]*\))", found[1])] if found else []


def _normal(query: object) -> str:
    return re.sub(r"\s+", " ", str(query)).strip().rstrip(";").lower()


def _lost(pair: Pair, path: tuple[str, str], name: str) -> Iterator[Finding]:
    """Entries of a list that are gone; where as many are left, they were changed and not taken away."""
    old, new = (listed(value) for value in pair.both(*path))
    gone = [entry for entry in old if entry not in new]
    place = (pair.file, pair.line(*path))
    if len(new) < len(old):
        for entry in gone[: len(old) - len(new)]:
            yield taken(ID, *place, f"{name} lost {quoted(json.dumps(entry))}")
    elif gone and not new:
        yield doubtful(ID, *place, f"{name} is empty")
