"""How a handler has itself run again where its library does so for one call alone: the ways to it,
and their bounds.

A way is `raise Retry(...)` in arq, and the enqueueing of the own task with Django's tasks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.around import decorators
from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.common.errors import short
from skillrun.frameworks.common.guards import count_let_through, tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Backoff

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Handler, Module, Project
    from skillrun.repo.uses import Place

# `log.attempts < 3`, `tries_left(job_try)`.
_LIKE_A_COUNT = re.compile(r"tr(?:y|ies)(?![a-z])|attempt", re.IGNORECASE)
_TRIERS = re.compile(r"\s*(?:from|import) (?:tenacity|backoff|stamina)\b")


@dataclass(frozen=True)
class Way:
    """What has the job run again. `bound` is the last try that it lets through to a run after it,
    or None.
    """

    place: Place
    clause: Handler | None
    backoff: Backoff | None  # None: it cannot be read
    bound: int | None = None
    bound_place: Place | None = None
    bound_unread: bool = False  # something compares the try with what cannot be read


@dataclass(frozen=True, kw_only=True)
class Path(Way):
    """One call that has the job run again."""

    call: Call
    around: bool = False  # in a decorator of the handler


class Tries(Countdown):
    """The number of the try is `first` in the first run; a subclass says what it looks like."""

    first = 1

    def counts(self, node: ast.expr, module: Module) -> bool:
        """The try itself, also by the name of a local variable that holds it."""
        if self.is_retries(node):
            return True
        function = None
        if isinstance(node, ast.Name):
            function = module.function_of(node)
        if function and isinstance(node, ast.Name):
            bound = module.bindings(function).get(node.id, [])
        else:
            bound = []
        return any(one.value is not None and self.is_retries(one.value) for one in bound)

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if self.is_retries(node):
            return retries + self.first
        return super()._evaluate(node, module, retries, given, depth)


class JobAttempts(Tries):
    """`job.attempts` of the job that a context holds."""

    def is_retries(self, node: ast.expr) -> bool:
        """Whatever holds the job."""
        return isinstance(node, ast.Attribute) and node.attr == "attempts"


def bodies(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """The handler, the functions of the repository that it calls, and its decorators."""
    via = set()
    for call in project.calls(handler, depth=1):
        for name in call.via:
            via.add(name)
    called = (found for name in sorted(via) if (found := project.definition(name)))
    return (handler, *called, *decorators(project, handler))


def find_bound(
    tries: Tries, module: Module, node: ast.AST
) -> tuple[int | None, Place | None, bool]:
    """(bound, its place, unread) of a `Way`: the least of all comparisons on the way to a node, in
    its own function.
    """
    found: list[tuple[int, Place]] = []
    unread = False
    for test, holds in tests_before(module, node):
        for part in _split_condition(test, holds):
            limit = count_let_through(part, holds, lambda one: tries.counts(one, module))
            number = None
            if limit:
                number = tries.number(limit[0], module)
            if limit is not None and number is not None:
                found.append((int(number) + limit[1], place_of(module, part)))
            elif _LIKE_A_COUNT.search(ast.unparse(part)):
                unread = True
    if not found:
        return None, None, unread
    least = min(found, key=lambda pair: pair[0])
    return least[0], least[1], unread


def _split_condition(test: ast.expr, holds: bool) -> list[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and holds:
        return test.values
    return [test]


def find_taking_clause(call: Call, bases: frozenset[str]) -> Handler | None:
    """The clause around a call that takes an error; `bases`: short names of its class and of what
    that derives from.
    """
    for c in call.in_try:
        if c.bare or bases & {short(name) for name in c.exceptions}:
            return c
    return None


def tries_itself(project: Project, call: Call) -> bool:
    """A library tries again within one run, in the module of the call or on the way to it."""
    via: Iterator[Module] = (
        found.module for name in call.via if (found := project.definition(name)) is not None
    )
    return any(_TRIERS.match(line) for module in (call.module, *via) for line in module.lines)
