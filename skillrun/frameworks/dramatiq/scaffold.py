"""The job as a Dramatiq actor: `retry_when` decides about retries, a second actor keeps what is
given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables import runner
from skillrun.frameworks.common.callables.scaffold import Ticked, given_up
from skillrun.frameworks.dramatiq.setup import SETTING, read_setup
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Retries, Symbol
from skillrun.frameworks.publishing import publishes_on_commit, when_to_publish
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
TESTS = (
    "worked on by Dramatiq's own worker over a StubBroker: retries are real, only the waiting is"
    " left out."
)
"""What the tests' docstring says of how they run the job."""

_WORKER = re.compile(r"(?<=[\s:])(?P<folder>[\w./~-]*/)?dramatiq(?:-gevent)?(?=\s|$)")
"""The command of a worker, in a line that starts one."""
_SCHEDULERS = ("periodiq", "dramatiq-crontab", "apscheduler")


def problems(facts: Facts) -> Iterator[str]:
    """What Dramatiq cannot do of what the spec asks for, a sentence each."""
    if facts.dead_letter == "queue":
        yield (
            "Dramatiq's workers would take the dead letters out of a queue"
            f" {facts.dead_letter_where}: dead_letter.kind is to be framework, for the dead-letter"
            " queue that it has itself, table or none"
        )
    if _is_clocked(facts):
        yield from runner.problems(facts)
    if facts.trigger == "cron" and facts.use.scheduler in _SCHEDULERS:
        yield (
            f"{facts.use.scheduler} is this repository's clock, and skillrun's templates know none"
            " of Dramatiq's: trigger.type is to be event, sent by it"
        )


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `current`: the broker has the middleware CurrentMessage; `redis`: messages go over Redis;
    `sends`: what sends the
    job; where a clock starts it, the facts of its runner.
    """
    setup = read_setup(project, facts.use)
    clocked = {}
    if _is_clocked(facts):
        clocked = runner.read(project, facts, _WORKER)
    elsewhere = []
    for part in (*setup.listed, *setup.added):
        if part.place.path != facts.path:
            elsewhere.append(part)
    return {
        **clocked,
        "sends": (
            facts.enqueue
            if _writes_publisher(facts)
            else Symbol(facts.module, f"{facts.name}.send", path=facts.path)
        ),
        "publishes": True,  # a tick of the clock sends too
        "current": any(part.name == "CurrentMessage" for part in elsewhere),
        "own_waits": _own_waits(facts.retries),
        "redis": any(not is_aside(path) for path in project.tree.search("RedisBroker")),
    }


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    stub: tuple[str, ...] = (
        "from dramatiq import Worker",
        "from dramatiq.brokers.stub import StubBroker",
    )
    if facts.conventions.test_runner != "pytest":
        stub = (*stub, "from contextlib import ExitStack")
    waits: tuple[Symbol, ...] = ()
    if _own_waits(facts.retries):
        waits = (Symbol(facts.module, facts.name, path=facts.path),)
    sent = Symbol(facts.module, facts.enqueue.name if _writes_publisher(facts) else facts.name)
    ticks: list[Symbol | str] = []
    if _is_clocked(facts) and not case:
        ticks = [
            *runner.tests_need(facts, case=case),
            "from collections.abc import Callable",
            facts.of_library["sends"],
        ]
    return (*stub, sent, *waits, *ticks)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports beside the handler; None where the broker is not Redis."""
    if not facts.of_library["redis"]:
        return None
    beside: tuple[Symbol, ...] = ()
    if _writes_publisher(facts):
        beside = (Symbol(facts.module, facts.enqueue.name),)
    return (
        "from uuid import uuid4",
        "from dramatiq import Worker",
        "from dramatiq.brokers.redis import RedisBroker",
        "from redis.exceptions import RedisError",
        Symbol(facts.module, facts.name),
        *beside,
    )


def _own_waits(retries: Retries) -> bool:
    """Whether the actor says its waits itself: Dramatiq's own are doubled, and stretched at
    random.
    """
    return retries.bounded and (retries.kind, retries.factor, retries.jitter) != (
        "exponential",
        2,
        True,
    )


def _writes_publisher(facts: Facts) -> bool:
    """Whether the function that sends the message is written beside the handler."""
    return facts.enqueue.module == facts.module


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The actor, the middleware that says what becomes of a failed attempt, the actor for the dead,
    the sender.
    """
    if facts.app is not None and facts.app.name == SETTING:
        # A dict of Django's settings, which django_dramatiq makes the broker of.
        facts = replace(facts, app=None)
    text = render(
        "handler.py.jinja",
        replace(facts, retries=_stretch_waits(facts.retries)),
        needed=_list_needed(facts),
        options=_list_options(facts),
        waits=[round(delay * 1000) for delay in facts.retries.delays],
        waits_name=f"{facts.name.upper()}_WAITS",
        current=facts.of_library["current"],
        says=facts.retries.bounded or facts.dead_letter != "table",
        broker=facts.app.name if facts.app else "dramatiq.get_broker()",
        ids=[*((key, key) for key in facts.key), ("correlation_id", "correlation_id")],
        message_ids=_ids_of(facts, "message"),
        dead_ids=_ids_of(facts, "dead"),
        publishing=when_to_publish(facts),
    )
    handler = Module(facts.path, text)
    if not _is_clocked(facts):
        return [handler]
    return [handler, *runner.pieces(facts, render, _describe_tick(facts))]


def _list_needed(facts: Facts) -> list[Symbol | str]:
    """What the handler's module imports."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "import dramatiq",
        "from dramatiq import Message",
        "from dramatiq.broker import MessageProxy",
        "from dramatiq.middleware import CurrentMessage",
        *(effect.call for effect in facts.effects),
        facts.invalid,
    ]
    if publishes_on_commit(facts):
        needed.append("from django.db import transaction")
    if facts.retries.bounded:
        needed += facts.transient
    if _own_waits(facts.retries) and facts.retries.jitter:
        needed.append("import random")
    if facts.app is not None:
        # By name, as actors are written.
        needed.append(Symbol(facts.app.module, facts.app.name))
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return needed


def _is_clocked(facts: Facts) -> bool:
    """Dramatiq has no clock: a module beside the handler's sends what is due."""
    return facts.trigger != "event"


def _describe_tick(facts: Facts) -> Ticked:
    """The tick sends a message; a job that was given up is none that is done."""
    left_out = (
        f"It leaves out what is done, and what {given_up(facts)}: each tick would send it again."
        " What an earlier tick sent may still be under way: sent again, it is done once, but has"
        " all its attempts anew."
    )
    argument = "**payload"
    if facts.message == "payload":
        argument = "payload"
    return Ticked(facts.of_library["sends"], argument, "Sends", "could not be sent", left_out)


def _ids_of(facts: Facts, message: str) -> list[tuple[str, str]]:
    """What a log line about a message says, outside of the handler."""
    ids = [(key, f'fields.get("{key}")') for key in facts.key]
    return [*ids, ("correlation_id", f"_{facts.name}_correlation({message})"), ("reason", "error")]


def _stretch_waits(retries: Retries) -> Retries:
    """With the waits that Dramatiq's jitter makes of them at most: twice as long, up to the cap."""
    if _own_waits(retries):
        return retries
    if retries.cap_s is not None:
        cap = retries.cap_s
    else:
        cap = float("inf")
    return replace(retries, delays=tuple(min(delay * 2, cap) for delay in retries.delays))


def _list_options(facts: Facts) -> list[str]:
    """The options of the actor, a line each."""
    retries = facts.retries
    made = []
    if facts.app:
        made = [f"broker={facts.app.name},"]
    if not retries.bounded:
        made.append(f"max_retries=0,  # {retries.reason}")
    else:
        if not _own_waits(retries):
            if retries.cap_s is not None:
                cap = retries.cap_s
            else:
                cap = max(retries.delays)
            made += [
                f"min_backoff={_write_ms(retries.base_s)},  # milliseconds",
                f"max_backoff={_write_ms(cap)},",
            ]
        made.append(f"retry_when=_{facts.name}_may_pass,")
    if facts.dead_letter == "table":
        made.append(f'on_retry_exhausted="bury_{facts.name}",')
    return made


def _write_ms(seconds: float) -> str:
    return f"{round(seconds * 1000):_}"
