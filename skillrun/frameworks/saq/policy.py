"""The effective policy of a SAQ job: what its senders say, and what the handler does with the
number of its attempt: which errors it lets out to another one, up to which, and after which wait.

Defaults are those of saq/job.py: one attempt, no wait, 10 s, JSON, a record for 600 s. Where
senders differ, the most attempts, the slowest wait and the longest time count. The job that the
context holds is the one that is asked (saq/worker.py `process`, saq/job.py `retryable`,
`next_retry_delay`), so a handler may change its `retry_delay` and `retries`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.again import JobAttempts, Way, find_bound
from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.giving_up import Record
from skillrun.frameworks.common.named_sends import find_option
from skillrun.frameworks.common.policy_reader import PolicyReader, read_sent
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Backoff, Policy, Send
from skillrun.frameworks.saq.words import HOOKS, QUEUEING
from skillrun.repo.python import Definition, Handler, Module, Project, is_known, remembered
from skillrun.repo.syntax import divide_block, find_nodes, find_set_attribute

RETRIES, TIMEOUT_S, TTL_S = 1, 10.0, 600.0
# Until another worker's sweep takes over the job of one that died: its default interval, and the
# five seconds that it leaves a job which may be alive to end.
SWEPT_S = 65.0
_KINDS = ("saq.Queue", "saq.queue.Queue", "saq.queue.redis.RedisQueue", "saq.RedisQueue")
_QUEUES = (*_KINDS, *(f"{kind}.from_url" for kind in _KINDS))


@remembered
def read_policy(project: Project, handler: Definition) -> Policy:
    """What cannot be read is named in `unknown`."""
    sends = [send for send in QUEUEING.list_sends(project, handler) if not send.in_tests]
    ways = find_raised(project, handler)
    reader = PolicyReader(project, handler, ways)
    tried = [read_sent(project, send, "retries", RETRIES) for send in sends]
    # It counts the first attempt; less than one is one (saq/worker.py `process`).
    most = max(1, int(reader.read_most("max_attempts", tried, RETRIES)))
    ended = [read_sent(project, send, "timeout", TIMEOUT_S) for send in sends]
    own = [way for way in ways if way.sets_delay]
    return reader.conclude(
        reader.count_attempts(most),
        retried=("builtins:Exception",) if most > 1 else (),
        is_again=is_again,
        backoff=reader.agree_backoff(own) if own else reader.choose_slowest(_read_asked, sends),
        limit_s=reader.read_most("time_limit_s", ended, TIMEOUT_S),
        taken_over_s=SWEPT_S,
        # Instead of `json.loads` and `json.dumps` (saq/queue/base.py).
        serializer=reader.read_serializer(
            find_option(project, "load", _QUEUES), "json", find_option(project, "dump", _QUEUES)
        ),
        record=find_left(project, handler),
    )


def _read_asked(reader: PolicyReader, send: Send) -> Backoff:
    """`retry_delay`, doubled each time and drawn by lot with `retry_backoff`."""
    delay = read_sent(reader.project, send, "retry_delay", 0.0)
    grows = read_sent(reader.project, send, "retry_backoff", 0)
    if not is_known(delay.value) or not is_known(grows.value):
        reader.unknown["backoff"] = send.place
        return Backoff("none")
    if not delay.by_default:
        reader.sources["backoff"] = delay.place
    if not delay.value:
        return Backoff("none")
    if not grows.value:
        return Backoff("fixed", float(delay.value))
    cap = None if grows.value is True else float(grows.value)
    return Backoff("exponential", float(delay.value), 2.0, cap, jitter=True)


class LastAttempt(JobAttempts):
    """`ctx["job"].retryable` asks for the number as well."""

    def counts(self, node: ast.expr, module: Module) -> bool:
        asks = isinstance(node, ast.Attribute) and node.attr == "retryable"
        return asks or super().counts(node, module)


@dataclass(frozen=True, kw_only=True)
class Raised(Way):
    """An error that leaves the handler, so that the job is run again."""

    sets_delay: bool  # its clause assigns to the job's `retry_delay`


@remembered
def find_raised(project: Project, handler: Definition) -> list[Raised]:
    """In the handler, in what it calls, and in its decorators."""
    raised = []
    attempts = JobAttempts(project, {})
    for clause in clauses(project, handler):
        delay = find_set_attribute(clause.node, "retry_delay")
        backoff = attempts.backoff(delay, clause.module) if delay is not None else None
        for node in _find_raises(clause):
            bound = find_bound(attempts, clause.module, node)
            place = place_of(clause.module, node)
            raised.append(Raised(place, clause, backoff, *bound, sets_delay=delay is not None))
    return raised


def is_again(clause: Handler) -> bool:
    """What it catches is run again."""
    return next(_find_raises(clause), None) is not None


def find_left(project: Project, handler: Definition) -> Record | None:
    """The record of a job that is given up."""
    ways = find_raised(project, handler)
    return HOOKS.find_left(project, handler, LastAttempt(project, {}), ways, is_again)


def _find_raises(clause: Handler) -> Iterator[ast.Raise]:
    """Those that have the job run again: not where its retries were taken away just before."""
    for node in find_nodes(clause.node, ast.Raise):
        before, _ = divide_block(next(clause.module.parents(node), clause.node), node)
        if find_set_attribute(ast.Module(before, []), "retries") is None:
            yield node
