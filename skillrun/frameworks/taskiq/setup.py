"""What a scaffold finds, and adds, beside a broker: the middleware that retries, the scheduler, and
what it reads.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Entry, Facts, Line, Module, Piece, Render, Symbol
from skillrun.frameworks.taskiq.brokers import Broker, Part, brokers_of, find_brokers
from skillrun.frameworks.taskiq.retries import has_source, make_delay, option, own_waits
from skillrun.frameworks.taskiq.schedulers import Scheduler, argument, class_of, find_schedulers
from skillrun.frameworks.taskiq.starts import Start, find_starts

if TYPE_CHECKING:
    from skillrun.repo.python import Module as Code
    from skillrun.repo.python import Project

_KNOWN_BY_URL = ("RedisStreamBroker", "ListQueueBroker", "PubSubBroker")
"""Brokers of taskiq-redis whose one Redis ListRedisScheduleSource reaches by the same URL."""
_CHANGES = ("use_jitter", "use_delay_exponent")
"""Options of SmartRetryMiddleware that change a wait which a job asks for."""
_OWN_WAYS = ("on_error", "on_send", "is_retry_on_error")
"""Methods of SmartRetryMiddleware that a class of the repository's own may put others in the place of."""
_WHOLE = "taskiq_pg."
"""Brokers that take no fraction of a second: `int(delay_value)` in taskiq_pg/broker.py."""
_RETRIES = "retry_source"
_LABELS = "from taskiq.schedule_sources import LabelScheduleSource"
_EVERY_S = 5
"""How often a scheduler that is started for retries looks for them; 60 by default."""


@dataclass(frozen=True)
class Setup:
    """A broker, with what it has and what it is to get for one job.

    `url`: its address, as its module writes it. `adds`: it gets the middleware. `waits`: retries go
    through a
    scheduler, and `source`: one that is to be made for them. `tells`: the handler says its waits
    itself. `labels`: the
    scheduler is to read the tasks' labels. `exchanged`: a condition puts one in memory in its
    place, as people do for
    tests. `starts`: the lines that start a worker or a scheduler; `unloaded`: those that do not
    know the handler.
    """

    broker: Broker
    scheduler: Scheduler | None
    url: str = ""
    adds: bool = False
    waits: bool = False
    source: bool = False
    tells: bool = True
    labels: bool = False
    problem: str = ""
    exchanged: bool = False
    starts: tuple[Start, ...] = ()
    unloaded: tuple[Start, ...] = ()

    @property
    def name(self) -> str:
        """The broker, in its own module."""
        return self.broker.name.rpartition(".")[2]

    @property
    def retries(self) -> bool:
        """The broker has a middleware that retries."""
        return bool(self.broker.retrying)

    @property
    def scheduler_path(self) -> str:
        """What `taskiq scheduler` is given; "" where that is not known."""
        if self.scheduler is None:
            return f"{self.broker.module.name}:scheduler"
        if not self.scheduler.name:
            return ""
        return f"{self.scheduler.module.name}:{self.scheduler.name}"


def chosen_broker(project: Project, app: Symbol | None) -> Broker | None:
    """The broker behind an object that modules can import; where it may be one in memory too, the
    other.
    """
    named = (
        one
        for one in find_brokers(project)
        if app is not None and one.name == f"{app.module}.{app.name}"
    )
    return next(named, None)


def read_setup(project: Project, facts: Facts, broker: Broker) -> Setup:
    """What is there, and what is to be added for this job."""
    sending = (one for one in find_schedulers(project) if _sends_to_broker(project, one, broker))
    scheduler = next(sending, None)
    bounded = facts.retries.bounded
    part = None
    if broker.retrying and bounded:
        part = broker.retrying[-1]
    adds = bounded and part is None
    source = adds and not broker.waits
    labels = facts.trigger != "event" and not _reads_labels(project, scheduler)
    starts = tuple(find_starts(project))
    return Setup(
        broker,
        scheduler,
        url=_name_url(broker),
        adds=adds,
        source=source,
        waits=source or (part is not None and has_source(part)),
        tells=part is None
        or (part.kind == "SmartRetryMiddleware" and make_delay(project, part) is None),
        labels=labels,
        problem=_explain_problem(project, facts, broker, part)
        or _explain_closed(broker, scheduler, source=source, labels=labels),
        exchanged=any(one.in_memory and one.name == broker.name for one in find_brokers(project)),
        starts=starts,
        unloaded=tuple(_find_unloaded(project, facts, broker, scheduler, starts)),
    )


def _reads_labels(project: Project, scheduler: Scheduler | None) -> bool:
    """A scheduler kicks what stands in the labels of tasks, as far as can be told."""
    if scheduler is None:
        return False
    if scheduler.sources is None:
        return any(project.modules_with("LabelScheduleSource"))
    known = [class_of(project, *one) for one in scheduler.sources]
    return "LabelScheduleSource" in known


def _sends_to_broker(project: Project, scheduler: Scheduler, broker: Broker) -> bool:
    return scheduler.broker is not None and broker in brokers_of(
        project, scheduler.broker, scheduler.module
    )


def _name_url(broker: Broker) -> str:
    node = argument(broker.node, "url", 0)
    written = ""
    if node is not None:
        written = ast.get_source_segment(broker.module.text, node) or ""
    if node is not None and "\n" in written:
        return ast.unparse(node)
    return written


def _explain_closed(
    broker: Broker, scheduler: Scheduler | None, *, source: bool, labels: bool
) -> str:
    """Why a source for retries cannot be made, or the scheduler takes none; "" where they can."""
    kind = broker.kind.rpartition(".")[2]
    made = (
        kind in _KNOWN_BY_URL
        and _name_url(broker)
        and broker.module.function_of(broker.node) is None
    )
    if source and not made:
        return (
            f"nothing waits for a retry of {kind} here, and what would is not written: give it "
            "SmartRetryMiddleware(schedule_source=...), with a source that a TaskiqScheduler reads"
        )
    appended = (source and _is_below(broker, scheduler)) or (
        (source or labels) and not _is_listed(scheduler)
    )
    if appended and scheduler is not None and not scheduler.name:
        return (
            f"no source can be added to the TaskiqScheduler of {scheduler.module.path}: make it at"
            " the left margin"
        )
    return ""


def _is_below(broker: Broker, scheduler: Scheduler | None) -> bool:
    """What is added to the broker's module stands below the scheduler."""
    return scheduler is not None and scheduler.module.path == broker.module.path


def _is_listed(scheduler: Scheduler | None) -> bool:
    return scheduler is not None and scheduler.is_listed


def _explain_problem(project: Project, facts: Facts, broker: Broker, part: Part | None) -> str:
    """Why the middleware that is there cannot keep the spec's waits; "" where it can."""
    kind, delays = broker.kind.rpartition(".")[2], facts.retries.delays
    fractions = facts.retries.jitter or not all(delay.is_integer() for delay in delays)
    if broker.kind.startswith(_WHOLE) and any(delays) and fractions:
        return f"{kind} waits whole seconds: retry.backoff is to have such, and no jitter"
    if part is not None:
        return _explain_part(project, facts, broker, part)
    if broker.unread and facts.retries.bounded:
        return (
            "some of the broker's middlewares were not read, and one of them may retry: write"
            " them out"
        )
    return ""


def _explain_part(project: Project, facts: Facts, broker: Broker, part: Part) -> str:
    if part.kind == "SimpleRetryMiddleware":
        if not any(facts.retries.delays):
            return ""
        return (
            "the broker's SimpleRetryMiddleware waits for nothing: put SmartRetryMiddleware in its"
            " place"
        )
    if part.own is not None:
        named = part.own.name
    else:
        named = part.kind
    if part.unread or _has_own_way(project, part):
        return f"the broker's {named} retries in a way of its own, which was not read"
    if has_source(part) is broker.waits:
        return _explain_source(broker, named)
    return _explain_waits(project, part, named, facts.retries.delays)


def _has_own_way(project: Project, part: Part) -> bool:
    own = part.own
    return own is not None and any(project.member([own], name) for name in _OWN_WAYS)


def _explain_source(broker: Broker, named: str) -> str:
    """Why a retry would wait twice, or never."""
    kind = broker.kind.rpartition(".")[2]
    if broker.waits:
        return (
            f"{kind} waits by itself, and {named} has a schedule_source too: a retry would wait"
            " twice"
        )
    return f"{kind} does not wait, and {named} has no schedule_source: give it one"


def _explain_waits(project: Project, part: Part, named: str, delays: tuple[float, ...]) -> str:
    """Why a middleware waits otherwise than the spec says."""
    own = make_delay(project, part)
    if own is not None:
        found = own_waits(project, own)
        if found is not None and found.delays(len(delays)) == delays:
            return ""
        return f"{named}.make_delay computes other waits than retry.backoff says"
    for name in _CHANGES:
        if option(project, part, name) is not False:
            return f"the broker's {named} has {name}, which changes the waits of a job"
    return ""


def _find_unloaded(
    project: Project,
    facts: Facts,
    broker: Broker,
    scheduler: Scheduler | None,
    starts: tuple[Start, ...],
) -> Iterator[Start]:
    """What would not know the handler: workers where its module is new, and schedulers of a
    tick.
    """
    for start in starts:
        of_scheduler = (
            scheduler is not None
            and start.mode == "scheduler"
            and start.home == scheduler.module.name
        )
        new = start.starts(broker.module.name) and facts.path not in facts.use.task_modules
        wanted = new or (of_scheduler and facts.trigger != "event")
        if wanted and not start.loads(project, facts.module, facts.path):
            yield start


# -- what is written


def pieces(facts: Facts, setup: Setup, render: Render) -> Iterator[Piece]:
    """The statements below the broker, the scheduler's sources, and the lines that start what
    sends.
    """
    yield from _below_broker(facts, setup, render)
    if setup.scheduler is not None:
        yield from _more_sources(facts, setup, setup.scheduler, render)
    elif setup.labels or setup.source:
        yield from _start_scheduler(facts, setup)
    for start in setup.unloaded:
        yield start.loading(facts.module)


def _below_broker(facts: Facts, setup: Setup, render: Render) -> Iterator[Piece]:
    """The middleware with its source, and a scheduler where there is none."""
    needed, lines = [], []
    if setup.source:
        needed.append("from taskiq_redis import ListRedisScheduleSource")
        lines.append(f'{_RETRIES} = ListRedisScheduleSource({setup.url}, prefix="retries")')
    if setup.adds:
        needed.append("from taskiq import SmartRetryMiddleware")
        given = ""
        if setup.source:
            given = f"schedule_source={_RETRIES}"
        lines.append(f"{setup.name}.add_middlewares(SmartRetryMiddleware({given}))")
    if setup.scheduler is None and (setup.labels or setup.source):
        needed += ["from taskiq import TaskiqScheduler", *([_LABELS] if setup.labels else [])]
        sources = [f"LabelScheduleSource({setup.name})"] * setup.labels + [_RETRIES] * setup.source
        lines.append(f"scheduler = TaskiqScheduler({setup.name}, sources=[{', '.join(sources)}])")
    if lines:
        yield _change_module(facts, setup.broker.module, needed, lines, render)


def _more_sources(
    facts: Facts, setup: Setup, scheduler: Scheduler, render: Render
) -> Iterator[Piece]:
    """In its list, where that is written out and stands below what is added to it; else appended to
    that list.
    """
    home, broker = scheduler.module, scheduler.broker
    here = _is_below(setup.broker, scheduler)
    if setup.labels and broker:
        wanted = [(f"LabelScheduleSource({ast.unparse(broker)})", [_LABELS], True)]
    else:
        wanted = []
    if setup.source:
        imported = f"from {setup.broker.module.name} import {_RETRIES}"
        wanted.append((_RETRIES, [] if here else [imported], not here))
    for value, needed, above in wanted:
        if scheduler.is_listed and above:
            yield Entry(home.path, "TaskiqScheduler(sources=)", value, imports=tuple(needed))
        else:
            yield _change_module(
                facts, home, needed, [f"{scheduler.name}.sources.append({value})"], render
            )


def _change_module(
    facts: Facts, home: Code, needed: Sequence[str], lines: Sequence[str], render: Render
) -> Module:
    """Statements for a module that is there."""
    return Module(
        home.path,
        render("below_broker.py.jinja", facts, home=home.name, needed=needed, lines=lines),
    )


def _start_scheduler(facts: Facts, setup: Setup) -> Iterator[Piece]:
    """The scheduler's line in a Procfile, like the worker's."""
    worker = None
    for one in setup.starts:
        if one.starts(setup.broker.module.name) and one.in_procfile:
            worker = one
            break
    if worker is not None:
        if setup.labels:
            modules = (*worker.modules, facts.module)
        else:
            modules = ()
        late = ""
        if setup.source:
            late = f" --update-interval {_EVERY_S}"
        yield Line(
            worker.path,
            worker.scheduling(setup.scheduler_path, tuple(dict.fromkeys(modules))) + late,
        )
