"""What writes the jobs of libraries whose workers list their functions (arq, SAQ): a library says
its own words, and adds what no other one has.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import names_hours
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.common.listed import LISTS
from skillrun.frameworks.common.listed_writing import choose_worker, find_list, write_option
from skillrun.frameworks.pieces import Entry, Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish

if TYPE_CHECKING:
    from skillrun.frameworks.common.listed import Manner, Worker
    from skillrun.repo.python import Project

# Of a worker. A death uses up an attempt, and after the last one nobody is called: so many are
# left for the dead letter.
DEATHS = 5
_OF_EVERY_BROKER = (
    "import asyncio",
    "from uuid import uuid4",
    "from redis.exceptions import RedisError",
)


class ListedWriter(abc.ABC):
    """A `JobWriter` of such a library: its words, and what no other one has."""

    TITLE: str
    ARTICLE: str  # before the title
    MANNER: Manner
    # List -> the call around what stands in it; none where it is "".
    MADE: ClassVar[Mapping[str, str]]
    NO_SETTINGS: str  # what to write where no worker's settings were found
    UNREACHED: str  # a publisher does not come to the worker's queue
    TAKEN: frozenset[str]  # names that the library or the handler keeps for itself
    LIMITS: str  # what ends a job without a dead letter
    ZONE: str  # the option that says whose hours a schedule means, with its article
    KEY: str  # the option that keeps a second job out
    TRIED: str  # the expression of the attempt's number, from 1
    COUNTED: str  # why the library's own limit is another one
    CONTEXT: str  # the parameter for what a worker gives a function
    TARGET: str  # that of a publisher for where it sends
    PAYLOAD: str  # how a payload as a whole is given to what enqueues
    # What is imported for a handler, for its publisher, for a test that runs it, for its worker.
    OF_HANDLER: tuple[str, ...] = ()
    OF_PUBLISHER: tuple[str, ...]
    OF_TEST: str
    OF_BROKER: tuple[str, ...]

    MESSAGE = "kwargs"
    AWAITS = True

    def __init__(self) -> None:
        self.TESTS = (
            f"enqueued and run as {self.TITLE}'s worker runs them, by its own list of functions;"
            " Redis and the waits are left out."
        )

    @abc.abstractmethod
    def find_queue(self, project: Project, facts: Facts, worker: Worker) -> dict[str, Any]:
        """How the handler's module comes to the worker's queue: what the templates know of it,
        with `reached`, whether it does, `needed`, what is imported for it at the top, and
        `within`, what the publisher imports itself.
        """

    @abc.abstractmethod
    def write_clock(self, facts: Facts) -> list[str] | None:
        """The options of a cron job; None where the library has none that mean the trigger."""

    def list_sent(self, facts: Facts) -> tuple[str, ...]:
        """Options of what enqueues."""
        return ()

    def list_options(self, facts: Facts) -> list[str]:
        """Those of the call around the function in its list."""
        return []

    def list_limits(self, facts: Facts) -> Iterator[str]:
        """What else the library cannot do, a sentence each."""
        return iter(())

    def read(self, project: Project, facts: Facts) -> dict[str, Any]:
        """`worker`: whether there is one that the job is added to, `inside` where its settings
        stand in the handler's own module; `lists`: its lists; `functions`: the expression of one;
        `publisher`: that function, where it is written; of a clock, `tick` and `due`.
        """
        worker = choose_worker(project, self.MANNER, facts)
        made: dict[str, Any] = {"worker": worker is not None, "publishes": True, **published(facts)}
        if worker is None:
            return made
        calls = [call for call in self.MADE.values() if call]
        lists = {}
        for name in LISTS:
            if name == "functions" or facts.trigger != "event":
                library = self.MANNER.library
                lists[name] = find_list(project, worker, name, facts.module, library, calls)
        return {
            **made,
            "lists": lists,
            "functions": write_option(worker, "functions"),
            "settings": Symbol(worker.module.name, write_option(worker, "")),
            "inside": worker.module.path == facts.path,
            **self.find_queue(project, facts, worker),
        }

    def problems(self, facts: Facts) -> Iterator[str]:
        known, title = facts.of_library, self.TITLE
        if not known["worker"]:
            yield (
                f"no settings of {self.ARTICLE} {title} worker were found: write {self.NO_SETTINGS}"
            )
        elif known["inside"]:
            yield (
                f"{facts.module} holds the worker's settings, which name their functions above where"
                f" a new one is written: write handler: {facts.package or 'package'}.tasks:"
                f"{facts.name}"
            )
        elif not known["reached"]:
            yield self.UNREACHED
        if facts.dead_letter in ("queue", "framework"):
            yield (
                f"{title} keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is"
                " to be table or none"
            )
        if facts.django:
            yield (
                f"skillrun's templates for {title} know no Django project, whose transactions are"
                " not asyncio's"
            )
        if facts.message == "kwargs":
            for field in facts.fields:
                if field.name in self.TAKEN:
                    yield (
                        f"{title} or the handler takes {field.name} for itself: rename the field, or"
                        " write message: payload"
                    )
        yield from self.list_limits(facts)
        if facts.trigger != "event" and self.write_clock(facts) is None:
            yield self._refuse_clock(facts)

    def _refuse_clock(self, facts: Facts) -> str:
        if facts.trigger == "cron":
            return f"{self.TITLE} has no cron that means {facts.schedule!r}"
        return (
            f"{self.TITLE}'s cron names seconds, minutes and hours: trigger.every is to divide a"
            " minute in seconds, an hour in minutes, or a day in hours"
        )

    def runs_need(self, facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
        known = facts.of_library
        needed: list[Symbol | str] = ["import asyncio", self.OF_TEST, known["settings"]]
        if known["publisher"]:
            needed.append(Symbol(facts.module, known["publisher"].name))
        if facts.trigger != "event" and not case:
            needed.append(known["tick"])
        return tuple(needed)

    def broker_needs(self, facts: Facts) -> tuple[Symbol | str, ...] | None:
        """The publisher, the library's own worker, and the settings. None where the publisher is
        written elsewhere.
        """
        known = facts.of_library
        if not known["publisher"]:
            return None
        publisher = Symbol(facts.module, known["publisher"].name)
        return (*_OF_EVERY_BROKER, *self.OF_BROKER, publisher, known["settings"])

    def pieces(self, facts: Facts, render: Render) -> list[Piece]:
        """The handler with what ends its failures, its publisher and tick, and the worker's
        entries.
        """
        return [self._render_handler(facts, render), *self._list_entries(facts)]

    def _render_handler(self, facts: Facts, render: Render) -> Module:
        clocked = facts.trigger != "event"
        text = render(
            "handler.py.jinja",
            facts,
            needed=[*_list_needed(facts), *self._list_imports(facts)],
            title=self.TITLE,
            tried=self.TRIED,
            counted=self.COUNTED,
            attempts_name=name_attempts(facts),
            wait=longest_wait(facts.retries, f"{self.TRIED} - 1"),
            given=_list_parameters(facts),
            publisher=facts.of_library["publisher"],
            publishing=when_to_publish(facts),
            limits=self.LIMITS if facts.dead_letter == "table" else "",
            left_out=left_out(facts) if clocked else "",
            clocked=clocked,
            hours=self._say_hours(facts),
            sent=self._list_arguments(facts),
            context=self.CONTEXT,
            target=self.TARGET,
            **awaiting.names(facts),
        )
        return Module(facts.path, text)

    def _list_imports(self, facts: Facts) -> list[Symbol | str]:
        needed: list[Symbol | str] = [*self.OF_HANDLER]
        if facts.of_library["publisher"]:
            needed += [*self.OF_PUBLISHER, *facts.of_library["needed"]]
        return needed

    def _list_arguments(self, facts: Facts) -> list[str]:
        """Of the call that enqueues. A tick sends what is due once more; the library leaves out a
        key that is in use.
        """
        arguments = [f'"{facts.name}"']
        if facts.message == "payload":
            arguments.append(self.PAYLOAD)
        else:
            for field in facts.fields:
                arguments.append(f"{field.name}={field.name}")
        if facts.trigger != "event":
            arguments.append(f"{self.KEY}={_write_key(facts)}")
        return [*arguments, *self.list_sent(facts), "**more"]

    def _say_hours(self, facts: Facts) -> str:
        """Whose hours the schedule means, where it names any."""
        if facts.trigger != "cron" or not facts.timezone or not names_hours(facts.schedule):
            return ""
        return (
            f"Its hours are those of {facts.timezone}: {self.ZONE} of the worker's settings has to"
            " say so."
        )

    def _list_entries(self, facts: Facts) -> Iterator[Entry]:
        """The function in the worker's list, and the tick in its cron jobs."""
        lists = facts.of_library["lists"]
        constant = None
        if facts.retries.bounded:
            constant = name_attempts(facts)
        made, options = self.MADE["functions"], self.list_options(facts)
        yield lists["functions"].entry(made, facts.name, options, constant if options else None)
        if facts.trigger != "event":
            clock, tick = self.write_clock(facts) or (), facts.of_library["tick"].name
            yield lists["cron_jobs"].entry(self.MADE["cron_jobs"], tick, clock)


def name_attempts(facts: Facts) -> str:
    """The constant of the handler's own bound."""
    return f"{facts.name.upper()}_ATTEMPTS"


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
