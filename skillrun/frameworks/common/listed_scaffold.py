"""What the scaffolds of libraries whose workers list their functions have in common (arq, SAQ).

Such a library says its own words in `Words`; its `scaffold.py` adds what no other one has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import names_hours
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.common.listed import LISTS
from skillrun.frameworks.common.listed_writing import choose_worker, find_list, write_option
from skillrun.frameworks.pieces import Facts, Module, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish

if TYPE_CHECKING:
    from skillrun.frameworks.common.listed import Manner, Worker
    from skillrun.repo.python import Project

# Of a worker. A death uses up an attempt, and after the last one nobody is called: so many are
# left for the dead letter.
DEATHS = 5
NO_SUCH_CLOCK = (
    "'s cron names seconds, minutes and hours: trigger.every is to divide a minute in seconds, an"
    " hour in minutes, or a day in hours"
)


@dataclass(frozen=True)
class Words:
    """What a library says for itself."""

    manner: Manner
    title: str
    article: str  # before the title
    made: tuple[str, ...]  # calls around what its lists hold
    no_settings: str  # what to write where no worker's settings were found
    unreached: str  # a publisher does not come to the worker's queue
    taken: frozenset[str]  # names that the library or the handler keeps for itself
    limits: str  # what ends a job without a dead letter
    zone: str  # the option that says whose hours a schedule means, with its article
    key: str  # the option that keeps a second job out
    tried: str  # the expression of the attempt's number, from 1
    counted: str  # why the library's own limit is another one


def read_worker(
    project: Project, facts: Facts, words: Words
) -> tuple[Worker | None, dict[str, Any]]:
    """The worker that the job is added to, and what every such template knows of it.

    `worker`: whether there is one, `inside` where its settings stand in the handler's own module;
    `lists`: its lists; `functions`: the expression of one; `publisher`: that function, where it is
    written; of a clock, `tick` and `due`.
    """
    worker = choose_worker(project, words.manner, facts)
    made: dict[str, Any] = {"worker": worker is not None, "publishes": True, **published(facts)}
    if worker is None:
        return None, made
    lists = {}
    for name in LISTS:
        if name == "functions" or facts.trigger != "event":
            library = words.manner.library
            lists[name] = find_list(project, worker, name, facts.module, library, words.made)
    return worker, {
        **made,
        "lists": lists,
        "functions": write_option(worker, "functions"),
        "settings": Symbol(worker.module.name, write_option(worker, "")),
        "inside": worker.module.path == facts.path,
    }


def find_problems(facts: Facts, words: Words, *, reaches_queue: bool) -> Iterator[str]:
    """What such a library cannot do of what the spec asks for, a sentence each."""
    known, title = facts.facts, words.title
    if not known["worker"]:
        yield f"no settings of {words.article} {title} worker were found: write {words.no_settings}"
    elif known["inside"]:
        yield (
            f"{facts.module} holds the worker's settings, which name their functions above where a"
            f" new one is written: write handler: {facts.package or 'package'}.tasks:{facts.name}"
        )
    elif not reaches_queue:
        yield words.unreached
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"{title} keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to"
            " be table or none"
        )
    if facts.django:
        yield (
            f"skillrun's templates for {title} know no Django project, whose transactions are not"
            " asyncio's"
        )
    for field in facts.fields if facts.message == "kwargs" else ():
        if field.name in words.taken:
            yield (
                f"{title} or the handler takes {field.name} for itself: rename the field, or write"
                " message: payload"
            )


def list_test_needs(facts: Facts, *imports: str, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler; `case` as for `JobWriter.runs_need`."""
    known = facts.facts
    needed: list[Symbol | str] = ["import asyncio", *imports, known["settings"]]
    if known["publisher"]:
        needed.append(Symbol(facts.module, known["publisher"].name))
    if facts.trigger != "event" and not case:
        needed.append(known["tick"])
    return tuple(needed)


def list_broker_needs(facts: Facts, *imports: str) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports: the publisher, the library's own worker, and the settings.
    None where the publisher is written elsewhere.
    """
    known = facts.facts
    if not known["publisher"]:
        return None
    ours = ("import asyncio", "from uuid import uuid4", "from redis.exceptions import RedisError")
    publisher = Symbol(facts.module, known["publisher"].name)
    return (*ours, *imports, publisher, known["settings"])


def render_handler(
    facts: Facts, render: Render, words: Words, needed: Sequence[Symbol | str], **own: Any
) -> Module:
    """The handler with what ends its failures, its publisher and its tick."""
    clocked = facts.trigger != "event"
    text = render(
        "handler.py.jinja",
        facts,
        needed=[*_list_needed(facts), *needed],
        title=words.title,
        tried=words.tried,
        counted=words.counted,
        attempts_name=name_attempts(facts),
        wait=longest_wait(facts.retries, f"{words.tried} - 1"),
        given=_list_parameters(facts),
        publisher=facts.facts["publisher"],
        publishing=when_to_publish(facts),
        limits=words.limits if facts.dead_letter == "table" else "",
        left_out=left_out(facts) if clocked else "",
        clocked=clocked,
        hours=_say_hours(facts, words),
        **awaiting.names(facts),
        **own,
    )
    return Module(facts.path, text)


def name_attempts(facts: Facts) -> str:
    """The constant of the handler's own bound."""
    return f"{facts.name.upper()}_ATTEMPTS"


def list_arguments(facts: Facts, words: Words, payload: str, *options: str) -> list[str]:
    """The arguments of the call that enqueues; `payload` is how a payload as a whole is given.

    A tick sends what is due once more; the library leaves out a key that is in use.
    """
    arguments = [f'"{facts.name}"']
    if facts.message == "payload":
        arguments.append(payload)
    else:
        for field in facts.fields:
            arguments.append(f"{field.name}={field.name}")
    if facts.trigger != "event":
        arguments.append(f"{words.key}={_write_key(facts)}")
    return [*arguments, *options, "**more"]


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        *awaiting.needed(facts),
    ]
    if awaiting.blocks(facts):
        needed.append("import asyncio")
    if facts.retries.bounded:
        needed += facts.transient
        if facts.retries.jitter and facts.retries.kind != "none":
            needed.append("import random")
    if facts.trigger != "event":
        needed.append("from collections.abc import Iterable")
    return needed


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters. A call that lacks an argument leaves no record, so none must be
    given.
    """
    if facts.message == "payload":
        return ["payload: dict[str, Any]"]
    return [f"{field.name}: Any = None" for field in facts.fields]


def _write_key(facts: Facts) -> str:
    parts = []
    for key in facts.key:
        parts.append(
            f"{{payload.get('{key}')!r}}" if facts.message == "payload" else f"{{{key}!r}}"
        )
    return f'f"{facts.job}:{":".join(parts)}"'


def _say_hours(facts: Facts, words: Words) -> str:
    """Whose hours the schedule means, where it names any."""
    if facts.trigger != "cron" or not facts.timezone or not names_hours(facts.schedule):
        return ""
    return (
        f"Its hours are those of {facts.timezone}: {words.zone} of the worker's settings has to say"
        " so."
    )
