"""The job as a taskiq task: its broker's SmartRetryMiddleware retries it, and it keeps itself what
is given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import FIELDS, read_fields
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.layout import call, source
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish
from skillrun.frameworks.taskiq import setup as setups
from skillrun.frameworks.taskiq.setup import Setup, chosen_broker, read_setup

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = True
TESTS = (
    "run by taskiq's own receiver, with the broker's middlewares; the queue and the waits are left"
    " out."
)
"""What the tests' docstring says of how they run the job."""

_OURS = ("context", "correlation_id", "labels", "tries")
_REDIS = "taskiq_redis."
_OLD = re.compile(
    r"\btaskiq(?:\[[^\]]*\])?\s*==\s*0\.(?:(?:\d|1[01])(?:\.\d+)?|12(?:\.[0-5])?)(?![\d.])"
)
"""Pinned below 0.12.6, whose middlewares are the first to read a task's own `types_of_exceptions`."""


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `setup`: the broker, what it has, and what it gets; None where no module could import one.
    `old`: a pin of a taskiq
    that retries all errors. `publisher`: the function that kicks the task, where it is written; of
    a clock, `tick` and
    `due`.
    """
    from skillrun.repo.manifests import read_manifests

    broker = chosen_broker(project, facts.app)
    # A tick of the clock publishes too.
    made: dict[str, Any] = {"publishes": True}
    manifests = read_manifests(project.tree)
    pins = (_OLD.search(one.text) for one in manifests.find("taskiq"))
    made["old"] = next((found[0] for found in pins if found), "")
    if broker is not None:
        made["setup"] = read_setup(project, facts, broker)
    else:
        made["setup"] = None
    return {**made, **published(facts)}


def problems(facts: Facts) -> Iterator[str]:
    """What taskiq cannot do of what the spec asks for, a sentence each."""
    setup: Setup | None = facts.of_library["setup"]
    if setup is None:
        yield (
            "no broker of taskiq was found that a module could import: broker ="
            " RedisStreamBroker(...) in a module"
        )
    elif setup.broker.in_memory:
        yield (
            "the only broker is an InMemoryBroker, which works in the process that publishes: make"
            " one with a queue"
        )
    elif setup.problem:
        yield setup.problem
    yield from _list_unknown(facts)
    if facts.trigger == "cron" and _write_cron(facts) is None:
        yield f"taskiq's scheduler has no cron that means {facts.schedule!r}"
    if facts.trigger == "poller" and not (facts.every_s or 60.0).is_integer():
        yield "taskiq's scheduler counts whole seconds: trigger.every is to be such"


def _list_unknown(facts: Facts) -> Iterator[str]:
    """What neither taskiq nor its templates have."""
    if facts.of_library["old"] and facts.retries.bounded:
        yield (
            f"{facts.of_library['old']} knows no types_of_exceptions of a task, and retries all errors:"
            " it is to be 0.12.6"
        )
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"taskiq keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to"
            " be table or none"
        )
    if facts.django:
        yield (
            "skillrun's templates for taskiq know no Django project, whose transactions are not"
            " asyncio's"
        )
    for field in facts.fields:
        if field.name in _OURS:
            yield f"the handler has a use of its own for the name {field.name}: rename the field"


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    needed: list[Symbol | str] = [
        "import asyncio",
        "from collections.abc import Iterator",
        "from contextlib import ExitStack, contextmanager",
        "from unittest.mock import patch",
        "from taskiq import BrokerMessage",
        "from taskiq.receiver import Receiver",
        "from taskiq.result_backends.dummy import DummyResultBackend",
    ]
    if facts.retries.bounded:
        needed += ["from taskiq import SmartRetryMiddleware"]
    publisher = facts.of_library["publisher"]
    if publisher:
        needed += [Symbol(facts.module, publisher.name)]
    return (*needed, *([facts.of_library["tick"]] if facts.trigger != "event" and not case else []))


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports: the publisher and a receiver; None where tests have no
    broker on Redis.
    """
    publisher, setup = facts.of_library["publisher"], facts.of_library["setup"]
    if publisher is None or setup.exchanged or not setup.broker.kind.startswith(_REDIS):
        return None
    return (
        "import asyncio",
        "from uuid import uuid4",
        "from redis.exceptions import RedisError",
        "from taskiq.exceptions import SendTaskError",
        "from taskiq.receiver import Receiver",
        Symbol(facts.module, facts.name),
        Symbol(facts.module, publisher.name),
    )


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and what the broker and its
    clock lack.
    """
    clocked, setup = facts.trigger != "event", facts.of_library["setup"]
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts),
        broker=facts.app.name if facts.app else "broker",
        options=_list_options(facts, setup),
        title="taskiq",
        tried="tries",
        counted="taskiq's max_retries counts runs",
        attempts_name=_attempts_name(facts),
        tells=setup.tells,
        wait=longest_wait(facts.retries, "tries - 1"),
        plain=_is_plain(facts),
        given=_list_parameters(facts),
        kicked=_write_kick(facts),
        notes=_explain_retries(facts, setup),
        publisher=facts.of_library["publisher"],
        publishing=_explain_publishing(facts, setup),
        clocked=clocked,
        schedule=_write_schedule(facts) if clocked else "",
        left_out=left_out(facts) if clocked else "",
        **awaiting.names(facts, coroutine=not _is_plain(facts)),
    )
    return [*setups.pieces(facts, setup, render), Module(facts.path, text)]


def _is_plain(facts: Facts) -> bool:
    """Whether the handler awaits nothing: taskiq runs a plain function in a thread itself."""
    return not awaiting.awaits(facts) and not awaiting.give_up_awaits(facts)


def _attempts_name(facts: Facts) -> str:
    return f"{facts.name.upper()}_ATTEMPTS"


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        "from taskiq import Context, TaskiqDepends",
        facts.conventions.logger_import,
        *awaiting.needed(facts),
    ]
    if awaiting.blocks(facts) and not _is_plain(facts):
        needed += ["import asyncio"]
    if facts.app is not None:
        # By name, as tasks are written.
        needed.append(Symbol(facts.app.module, facts.app.name))
    if facts.retries.bounded:
        needed += facts.transient
        told = (
            facts.of_library["setup"].tells
            and facts.retries.jitter
            and facts.retries.kind != "none"
        )
        if told:
            needed += ["import random"]
    if facts.trigger != "event":
        needed.append("from collections.abc import Iterable")
    return needed


def _list_options(facts: Facts, setup: Setup) -> list[str]:
    """The labels of the task; `types_of_exceptions` is added by the template."""
    if facts.retries.bounded:
        return ["retry_on_error=True", f"max_retries={_attempts_name(facts)}"]
    if not setup.retries:
        return []
    return ["retry_on_error=False"]


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks an argument never begins, so none must be
    given.
    """
    if facts.message == "payload":
        fields = ["payload: Any"]
    else:
        fields = [f"{field.name}: Any" for field in facts.fields]
    return [*(f"{one} = None" for one in fields), "context: Context = TaskiqDepends()"]


def _write_kick(facts: Facts) -> str:
    """The statement that publishes; too long for a line, it is laid out as formatters do it with a
    chain of calls.
    """
    fields = [f"{field.name}={field.name}" for field in facts.fields]
    sent = fields
    if facts.message == "payload":
        sent = ["payload"]
    width = facts.conventions.line_length
    chain = f"{facts.name}.kicker().with_labels(**labels).kiq({', '.join(sent)})"
    if len(f"    await {chain}") <= width:
        return f"await {chain}"
    if len(f"        {chain}") > width:
        chain = (
            f"{facts.name}.kicker()\n        .with_labels(**labels)\n       "
            f" {call('.kiq', sent, 8, width=width)}"
        )
    return f"await (\n        {chain}\n    )"


def _explain_retries(facts: Facts, setup: Setup) -> str:
    """Who sends the retries."""
    if not facts.retries.bounded or not setup.waits:
        return ""
    command = "taskiq's scheduler"
    if setup.scheduler_path:
        command = f"`taskiq scheduler {setup.scheduler_path}`"
    return (
        f"{command} sends its retries: it looks for them once in --update-interval seconds, by"
        " default 60."
    )


def _explain_publishing(facts: Facts, setup: Setup) -> str:
    """When to call the publisher, and what the broker does not do."""
    if setup.broker.gives_back:
        return when_to_publish(facts)
    again = "it is lost until it is published again"
    if facts.trigger != "event":
        again = "the next tick publishes it again"
    kind = setup.broker.kind.rpartition(".")[2]
    return (
        f"{when_to_publish(facts)} {kind} gives nothing back: where a worker is killed at its work,"
        f" {again}."
    )


def _write_cron(facts: Facts) -> str | None:
    """The schedule in numbers; None where pycron has none that means it."""
    fields = read_fields(facts.schedule or "")
    if fields is None:
        return None
    return " ".join(fields[name] for name in FIELDS)


def _write_schedule(facts: Facts) -> str:
    """The label of a tick."""
    if facts.trigger == "poller":
        return source([{"interval": round(facts.every_s or 60)}])
    if facts.timezone not in (None, "UTC", "Etc/UTC"):
        zone = {"cron_offset": facts.timezone}
    else:
        zone = {}
    return source([{"cron": _write_cron(facts), **zone}])
