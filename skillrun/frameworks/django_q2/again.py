"""What a handler does to run once more by itself: it schedules, or queues, itself where an error
was caught.

Django Q2's own retry waits the same each time, and for every exception; whoever wants another one
writes it so, with a parameter that counts the attempts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.countdown import Countdown
from skillrun.frameworks.common.guards import count_let_through, tests_before
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_q2.sends import find_publishes
from skillrun.frameworks.interface import (
    Backoff,
    Send,
)
from skillrun.repo.python import Call, Definition, Handler, Module, Project
from skillrun.repo.syntax import name_method
from skillrun.repo.uses import Place

_NOW = ("now", "utcnow", "localtime")
_DEEP = 1


@dataclass(frozen=True)
class Again:
    """One publish of the handler by itself in a clause. `attempts` counts the first try; None: no
    bound was read.
    """

    send: Send
    clause: Handler
    attempts: int | None
    backoff: Backoff | None  # None: it cannot be read
    bound_place: Place | None = None

    @property
    def place(self) -> Place:
        """Where it is published."""
        return self.send.place


class _Counted(Countdown):
    """A parameter counts the attempts, from its default on."""

    def __init__(self, project: Project, parameter: str, first: int) -> None:
        super().__init__(project, {})
        self.parameter, self.first = parameter, first

    def is_retries(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.parameter

    def _evaluate(
        self, node: ast.expr, module: Module, retries: int, given: dict[str, float], depth: int
    ) -> float:
        if self.is_retries(node) and self.parameter not in given:
            return retries + self.first
        return super()._evaluate(node, module, retries, given, depth)


def find_again(project: Project, handler: Definition) -> tuple[Again, ...]:
    """Every one on the handler's way, in order."""
    return project.remember(
        ("django-q2.again", handler.dotted), lambda: tuple(_find_clauses(project, handler))
    )


def _find_clauses(project: Project, handler: Definition) -> Iterator[Again]:
    sends = {}
    for send in find_publishes(project, handler):
        if send.call is not None:
            sends[send.call.node] = send
    for call in project.calls(handler, depth=_DEEP):
        if call.node in sends and call.in_except is not None:
            yield _read_again(project, handler, sends[call.node], call, call.in_except)


def _read_again(
    project: Project, handler: Definition, send: Send, call: Call, clause: Handler
) -> Again:
    for parameter, first in list_counters(project, handler):
        counted = _Counted(project, parameter, first)
        for test, holds in tests_before(call.module, call.node):
            limit = count_let_through(test, holds, counted.is_retries)
            number = None
            if limit:
                number = counted.number(limit[0], call.module)
            if limit is not None and number is not None:
                attempts = int(number) + limit[1] - first + 1
                place = place_of(call.module, test)
                return Again(send, clause, attempts, _read_backoff(counted, send), place)
    return Again(send, clause, None, _read_backoff(_Counted(project, "", 0), send))


def list_counters(project: Project, handler: Definition) -> Iterator[tuple[str, int]]:
    """(parameter, its default) of those whose default is a small number."""
    if isinstance(handler.node, ast.ClassDef):
        return
    args = handler.node.args
    positional = [*args.posonlyargs, *args.args]
    pairs = [*zip(positional[len(positional) - len(args.defaults) :], args.defaults, strict=True)]
    pairs += [
        (arg, value)
        for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True)
        if value is not None
    ]
    for arg, node in pairs:
        value = project.literal(node, handler.module)
        if value in (0, 1) and not isinstance(value, bool):
            yield arg.arg, int(value)


def _read_backoff(counted: _Counted, send: Send) -> Backoff | None:
    """From `next_run=timezone.now() + timedelta(seconds=...)`; async_task waits for nothing."""
    found = send.options.get("next_run")
    if found is None:
        return Backoff("none")
    node, module = found
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return None
    waits = []
    for side in (node.left, node.right):
        if not _is_now(side):
            waits.append(side)
    if len(waits) != 1:
        return None
    return counted.backoff(waits[0], module)


def _is_now(node: ast.expr) -> bool:
    return name_method(node) in _NOW
