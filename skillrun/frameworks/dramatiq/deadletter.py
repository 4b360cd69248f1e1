"""Where a Dramatiq job leaves a record of its own when it is given up.

Dramatiq moves the message to the queue's dead-letter queue by itself. Counted here is what the
repository writes: the actor of `on_retry_exhausted`, that of `on_failure`, a middleware's
`after_nack` or `before_nack`, the branch of the last attempt. What counts as a record,
`common/records.py` says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.dramatiq.actors import Actor, actor_behind, run_node
from skillrun.frameworks.dramatiq.sends import message_options
from skillrun.frameworks.dramatiq.setup import Setup
from skillrun.repo.python import Project
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import Place

_NAMED_LIKE_A_RECORD = re.compile(
    r"dead|quarantin|bury|buried|park|record|fail|reject|letter|dlq|poison", re.I
)
_COUNTS = re.compile(r"\bretries\b|\bmax_retries\b")


@dataclass(frozen=True)
class DeadLetter:
    """`exhausted`: after the last attempt; `permanent`: for an error that the handler itself gives
    up on.
    """

    exhausted: Place | None = None
    permanent: Place | None = None


def find_dead_letter(project: Project, actor: Actor, setup: Setup) -> DeadLetter:
    """The first place of each kind, or None."""
    return DeadLetter(
        next(_find_callback_records(project, actor, setup), None),
        next(_find_clause_records(project, actor), None),
    )


def _find_callback_records(project: Project, actor: Actor, setup: Setup) -> Iterator[Place]:
    for name in ("on_retry_exhausted", "on_failure"):
        yield from callback_records(project, actor, name)
    yield from nack_records(project, setup)
    yield from _last_attempt(project, actor)


def callback_records(project: Project, actor: Actor, name: str) -> Iterator[Place]:
    """The record that the actor of a callback leaves; the option itself where that actor is out of
    sight.
    """
    given = []
    if name in actor.options:
        given = [actor.options[name]]
    given += message_options(project, actor, name)
    for one in given:
        target = actor_behind(project, one)
        node = None
        if target:
            node = run_node(target.handler)
        if node is None or target is None:
            if isinstance(one.value, str) and not project.tree.search(
                one.value.rpartition(".")[2], ".py"
            ):
                continue
            yield one.place
        elif record := first_record(project, node.body, target.handler.module):
            yield place_of(target.handler.module, record)


def nack_records(project: Project, setup: Setup) -> Iterator[Place]:
    """The record that a middleware leaves when a message is rejected, for whatever reason."""
    for name in ("after_nack", "before_nack"):
        method = project.member(setup.own, name)
        record = None
        if method:
            record = first_record(project, method.node.body, method.module)
        if method and record:
            yield place_of(method.module, record)


def _last_attempt(project: Project, actor: Actor) -> Iterator[Place]:
    """`if message.options.get("retries", 0) >= 3: dead_jobs.record(...)`."""
    for part in project.callables(actor.handler):
        for node in find_nodes(part.node, ast.If):
            if isinstance(node.test, ast.Compare) and _COUNTS.search(ast.unparse(node.test)):
                late = isinstance(node.test.ops[0], ast.GtE | ast.Gt | ast.Eq)
                record = first_record(project, node.body if late else node.orelse, part.module)
                if record:
                    yield place_of(part.module, record)


def _find_clause_records(project: Project, actor: Actor) -> Iterator[Place]:
    """A clause of the handler that calls something named like a record of failures."""
    for handler in project.handlers(actor.handler):
        record = first_record(project, handler.node.body, handler.module)
        if record and _NAMED_LIKE_A_RECORD.search(ast.unparse(record)):
            yield place_of(handler.module, record)
