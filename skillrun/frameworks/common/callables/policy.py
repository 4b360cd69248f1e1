"""The effective policy of a plain callable: what it tries by itself. No library retries it; the
next tick looks again.

Nothing acknowledges and nothing is redelivered after a kill: what the database says decides. An
attempt counter that is kept in a row cannot be followed, and is named in `unknown`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.attempts import Way, find_ways, kept_attempts
from skillrun.frameworks.common.callables.callers import called, reach_of
from skillrun.frameworks.common.callables.commands import starts_of
from skillrun.frameworks.common.reading import import_path, place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.interface import (
    Backoff,
    Policy,
)
from skillrun.repo.places import is_aside
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.uses import FrameworkUse, Place

if TYPE_CHECKING:
    from collections.abc import Iterable

_RECORD = (
    "dead",
    "quarantin",
    "bur",
    "park",
    "record",
    "fail",
    "reject",
    "letter",
    "dlq",
    "poison",
    "error",
)
_GIVES_UP = ("attempt", "tries", "retries", "fail")


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a plain callable; what cannot be read is named in `unknown`."""
    ways = find_ways(project, handler)
    unknown: dict[str, Place] = {}
    way = _the_way(ways, unknown)
    kept = kept_attempts(project, handler) or _find_restart(project, handler)
    if kept is not None:
        unknown |= {"max_attempts": kept, "backoff": kept, "retried": kept}
    dead_letter = next(_dead_letters(project, handler, ways), None)
    read_at: Place | None = None
    attempts: int | None = 1
    backoff = Backoff("none")
    retried: dict[str, None] = {}
    if way is not None:
        read_at = way.place
        attempts = way.attempts
        backoff = way.backoff or Backoff("none")
        for name in way.exceptions or ():
            retried[import_path(project, name)] = None
    sources = dict.fromkeys(("max_attempts", "backoff", "retried"), read_at)
    return Policy(
        max_attempts=attempts,
        backoff=backoff,
        retried=tuple(retried),
        dead_letter=dead_letter,
        sources={**sources, "dead_letter": dead_letter},
        unknown=unknown,
    )


def _find_restart(project: Project, handler: Definition) -> Place | None:
    """Kubernetes runs a failed Job again, six times unless backoffLimit says otherwise: a retry
    outside the code.
    """
    for start in starts_of(project, reach_of(project, handler)):
        if start.how == "CronJob" and not is_aside(start.path):
            text = (project.tree.read(start.path) or b"").decode("utf-8", "replace")
            if not re.search(r"(?m)^\s*backoffLimit:\s*0\b", text):
                return Place(start.path, start.line, start.text)
    return None


def _the_way(ways: tuple[Way, ...], unknown: dict[str, Place]) -> Way | None:
    """The one way to try again; of several, which of them the job's attempts are cannot be told."""
    unread = next((way for way in ways if not way.readable), None)
    if unread is None and len(ways) > 1:
        unread = ways[1]
    if unread is not None:
        unknown |= dict.fromkeys(("max_attempts", "backoff", "retried"), unread.place)
        return None
    for way in ways:
        if way.backoff is None:
            unknown["backoff"] = way.place
        if way.exceptions is None:
            unknown["retried"] = way.place
    if not ways:
        return None
    return ways[0]


def _dead_letters(project: Project, handler: Definition, ways: tuple[Way, ...]) -> Iterator[Place]:
    """Where a record may be written for a job that is given up: after the loop, in a clause, behind
    a counter.
    """
    for way in ways:
        module = project.module(way.place.path)
        if way.loop is not None and module is not None:
            after = [*way.loop.orelse, *_list_statements_after(module, way.loop)]
            yield from _find_record(project, after, module)
    for part in _list_parts(project, handler):
        for node in ast.walk(part.node):
            if isinstance(node, ast.If) and _asks_for_counter(node.test):
                yield from _find_record(project, [*node.body, *node.orelse], part.module)
            elif isinstance(node, ast.ExceptHandler):
                yield from _find_record(project, node.body, part.module)


def _asks_for_counter(test: ast.expr) -> bool:
    """`job.attempts >= 5`, by its words."""
    text = ast.unparse(test).lower()
    return any(word in text for word in _GIVES_UP)


def _list_parts(project: Project, handler: Definition) -> Iterator[Definition]:
    """The handler, what it calls, and the callers whose `except` may keep what it raises."""
    yield handler
    yield from called(project, handler)
    yield from reach_of(project, handler).functions[1:]


def _list_statements_after(module: Module, loop: ast.For) -> list[ast.stmt]:
    """What runs once a loop has ended, in the same block."""
    above = next(module.parents(loop), None)
    body = getattr(above, "body", [])
    if loop not in body:
        return []
    return list(body[body.index(loop) + 1 :])


def _find_record(project: Project, body: Iterable[ast.stmt], module: Module) -> Iterator[Place]:
    """A call that leaves something behind, and is named like a record of failures."""
    for statement in body:
        call = first_record(project, [statement], module)
        if call is not None and any(word in ast.unparse(call).lower() for word in _RECORD):
            yield place_of(module, call)
