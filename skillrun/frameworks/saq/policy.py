"""The effective policy of a SAQ job: what its senders and its own code say together.

Defaults are those of saq/job.py: one attempt, no wait, 10 s, JSON, a record for 600 s. Where
senders differ, the most attempts, the slowest wait and the longest time count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from skillrun.frameworks.common.around import clauses
from skillrun.frameworks.common.giving_up import Record, beside, by_count, in_clauses, kept
from skillrun.frameworks.common.reading import import_path, in_tests, place_of
from skillrun.frameworks.common.serializers import name_serializer
from skillrun.frameworks.interface import Backoff, Policy, Send
from skillrun.frameworks.saq.attempts import LastAttempt, Way, find_raises, find_ways
from skillrun.frameworks.saq.sends import find_sends
from skillrun.frameworks.saq.workers import find_hooks
from skillrun.repo.python import UNKNOWN, Definition, Handler, Project, is_known
from skillrun.repo.uses import FrameworkUse, Place

RETRIES, TIMEOUT_S, TTL_S = 1, 10.0, 600.0
# Until another worker's sweep takes over the job of one that died: its default interval, and the
# five seconds that it leaves a job which may be alive to end.
SWEPT_S = 65.0
_QUEUES = ("saq.Queue", "saq.queue.Queue", "saq.queue.redis.RedisQueue", "saq.RedisQueue")


def read_policy(project: Project, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("saq.policy", handler.dotted), lambda: _Reader(project, handler).read()
    )


def find_given(project: Project, handler: Definition) -> tuple[Send, ...]:
    """The sends outside of the tests, whose options count."""
    sends = find_sends(project, FrameworkUse("saq"), handler)
    return tuple(send for send in sends if not send.in_tests)


def read_option(project: Project, send: Send, name: str, default: float) -> Any:
    """A number that a send gives; an `Unknown` where it cannot be read."""
    given = send.option(name)
    if given is None:
        return UNKNOWN if send.options_hidden else default
    value = project.literal(*given)
    return value if isinstance(value, int | float) else UNKNOWN


def read_attempts(project: Project, send: Send) -> Any:
    """`retries` counts the first attempt; less than one is one (saq/worker.py `process`)."""
    value = read_option(project, send, "retries", RETRIES)
    return max(1, int(value)) if is_known(value) else value


def ends_job(clause: Handler) -> bool:
    """What it catches is not run again."""
    return next(find_raises(clause), None) is None


def find_record(project: Project, handler: Definition) -> Record | None:
    """The first record that is left after the last attempt, else of a permanent error."""
    return next(_find_records(project, handler), None)


def _find_records(project: Project, handler: Definition) -> Iterator[Record]:
    yield from beside(project, handler, lambda clause: not ends_job(clause))
    yield from by_count(project, handler, lambda part: LastAttempt(project, {}))
    hook = find_hooks(project, handler).get("failed")
    if hook is not None:
        yield from kept(project, getattr(hook.node, "body", []), hook.module, "after_process")
    # An error that no clause lets out has ended the job where it was caught.
    if not find_ways(project, handler):
        yield from in_clauses(project, handler)


@dataclass
class _Reader:
    project: Project
    handler: Definition
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)

    def read(self) -> Policy:
        self.sends = find_given(self.project, self.handler)
        ways = find_ways(self.project, self.handler)
        most = self._read_most("max_attempts", "retries", RETRIES)
        most = max(1, int(most))
        limit = self._read_most("time_limit_s", "timeout", TIMEOUT_S)
        record = find_record(self.project, self.handler)
        self.sources["dead_letter"] = record.place if record else None
        ending = [one for one in clauses(self.project, self.handler) if ends_job(one)]
        return Policy(
            max_attempts=self._bound(ways, most),
            backoff=self._read_backoff(ways),
            retried=("builtins:Exception",) if most > 1 else (),
            not_retried=self._name_paths(name for clause in ending for name in clause.exceptions),
            acks_late=True,
            reject_on_worker_lost=True,
            visibility_timeout_s=limit + SWEPT_S if limit else None,
            time_limit_s=limit or None,
            serializer=self._read_serializer(),
            dead_letter=record.place if record else None,
            sources=self.sources,
            unknown=self.unknown,
        )

    def _read_most(self, source: str, option: str, default: float) -> float:
        """The most that any send says."""
        self.sources[source] = None
        found: list[float] = []
        for send in self.sends:
            value = read_option(self.project, send, option, default)
            if not is_known(value):
                self.unknown[source] = send.place
                continue
            found.append(float(value))
            given = send.option(option)
            if given is not None and value == max(found):
                self.sources[source] = place_of(given[1], given[0])
        return max(found, default=default)

    def _bound(self, ways: tuple[Way, ...], most: int) -> int:
        """The handler's own bound where every way has one, and never more than SAQ's."""
        bounds = [way.bound if way.bound is not None else most for way in ways]
        for way in ways:
            if way.bound is None and way.bound_unread:
                self.unknown["max_attempts"] = way.place
        longest = max(bounds, default=most)
        if longest < most:
            places = (way.bound_place for way in ways if way.bound == longest)
            self.sources["max_attempts"] = next(places)
        return max(1, min(longest, most))

    def _read_backoff(self, ways: tuple[Way, ...]) -> Backoff:
        """What the handler sets, else what the slowest send asks for."""
        own = [way for way in ways if way.sets_delay is not None]
        self.sources["backoff"] = own[0].place if own else None
        if own:
            read = {way.backoff for way in own}
            backoff = own[0].backoff
            if len(read) == 1 and backoff is not None:
                return backoff
            self.unknown["backoff"] = own[0].place
            return Backoff("none")
        asked = [self._read_asked(send) for send in self.sends]
        return max(asked, key=lambda one: sum(one.delays(2)), default=Backoff("none"))

    def _read_asked(self, send: Send) -> Backoff:
        """`retry_delay`, doubled each time and drawn by lot with `retry_backoff`."""
        delay = read_option(self.project, send, "retry_delay", 0.0)
        grows = read_option(self.project, send, "retry_backoff", 0)
        if not is_known(delay) or not is_known(grows):
            self.unknown["backoff"] = send.place
            return Backoff("none")
        given = send.option("retry_delay")
        if given is not None:
            self.sources["backoff"] = place_of(given[1], given[0])
        if not delay:
            return Backoff("none")
        if grows is False or grows == 0:
            return Backoff("fixed", float(delay))
        cap = None if grows is True else float(grows)
        return Backoff("exponential", float(delay), 2.0, cap, jitter=True)

    def _name_paths(self, names: Iterator[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(import_path(self.project, name) for name in names))

    def _read_serializer(self) -> str:
        """JSON, unless a queue is given another `load` (saq/queue/base.py)."""
        self.sources["serializer"] = None
        for module in self.project.modules_with("load"):
            nodes = () if in_tests(module.path) else module.all_nodes
            for node in (one for one in nodes if isinstance(one, ast.Call)):
                name = self.project.origin(module.resolve(node.func) or "")
                given = next((k.value for k in node.keywords if k.arg == "load"), None)
                if given is not None and name.removesuffix(".from_url") in _QUEUES:
                    self.sources["serializer"] = place_of(module, given)
                    return name_serializer(self.project, given, module)
        return "json"
