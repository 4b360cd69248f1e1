"""The effective policy of a SAQ job: what its senders and its own code say together.

Defaults are those of saq/job.py: one attempt, no wait, 10 s, JSON, a record for 600 s. Where
senders differ, the most attempts, the slowest wait and the longest time count.
"""

from __future__ import annotations

from skillrun.frameworks.common.listed import Found
from skillrun.frameworks.common.named_sends import find_calls
from skillrun.frameworks.common.policy_reader import Limit, PolicyReader, read_limit
from skillrun.frameworks.common.reading import in_tests
from skillrun.frameworks.interface import Backoff, Policy, Send
from skillrun.frameworks.saq.attempts import find_left, find_raised, is_again
from skillrun.frameworks.saq.sends import QUEUEING
from skillrun.repo.python import Definition, Project, is_known
from skillrun.repo.syntax import find_keyword
from skillrun.repo.uses import FrameworkUse

RETRIES, TIMEOUT_S, TTL_S = 1, 10.0, 600.0
# Until another worker's sweep takes over the job of one that died: its default interval, and the
# five seconds that it leaves a job which may be alive to end.
SWEPT_S = 65.0
_KINDS = ("saq.Queue", "saq.queue.Queue", "saq.queue.redis.RedisQueue", "saq.RedisQueue")
_QUEUES = (*_KINDS, *(f"{kind}.from_url" for kind in _KINDS))


def read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    """The policy of a handler; what cannot be read is named in `unknown`."""
    return project.remember(
        ("saq.policy", handler.dotted), lambda: _read_policy(project, use, handler)
    )


def read_option(project: Project, send: Send, name: str, default: float) -> Limit:
    """A number that a send gives."""
    return read_limit(
        project, send.option(name), default, send.place, is_hidden=send.options_hidden
    )


def _read_policy(project: Project, use: FrameworkUse, handler: Definition) -> Policy:
    sends = [send for send in QUEUEING.find_sends(project, use, handler) if not send.in_tests]
    ways = find_raised(project, handler)
    reader = PolicyReader(project, handler, ways)
    tried = [read_option(project, send, "retries", RETRIES) for send in sends]
    # It counts the first attempt; less than one is one (saq/worker.py `process`).
    most = max(1, int(reader.read_most("max_attempts", tried, RETRIES)))
    ended = [read_option(project, send, "timeout", TIMEOUT_S) for send in sends]
    own = [way for way in ways if way.sets_delay]
    return reader.conclude(
        reader.count_attempts(most),
        retried=("builtins:Exception",) if most > 1 else (),
        is_again=is_again,
        backoff=reader.agree_backoff(own) if own else _read_slowest(reader, sends),
        limit_s=reader.read_most("time_limit_s", ended, TIMEOUT_S),
        taken_over_s=SWEPT_S,
        serializer=reader.read_serializer(_find_load(project), "json"),
        record=find_left(project, handler),
    )


def _read_slowest(reader: PolicyReader, sends: list[Send]) -> Backoff:
    """What the slowest send asks for."""
    reader.sources["backoff"] = None
    asked = [_read_asked(reader, send) for send in sends]
    return max(asked, key=lambda one: sum(one.delays(2)), default=Backoff("none"))


def _read_asked(reader: PolicyReader, send: Send) -> Backoff:
    """`retry_delay`, doubled each time and drawn by lot with `retry_backoff`."""
    delay = read_option(reader.project, send, "retry_delay", 0.0)
    grows = read_option(reader.project, send, "retry_backoff", 0)
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


def _find_load(project: Project) -> Found | None:
    """What a queue is given instead of `json.loads` (saq/queue/base.py)."""
    for module, node in find_calls(project, "load", _QUEUES):
        given = find_keyword(node, "load")
        if given is not None and not in_tests(module.path):
            return given, module
    return None
