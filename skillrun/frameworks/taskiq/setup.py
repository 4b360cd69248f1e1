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
_WAIT_CHANGING = ("use_jitter", "use_delay_exponent")
"""Options of SmartRetryMiddleware that change a wait which a job asks for."""
_RETRYING_METHODS = ("on_error", "on_send", "is_retry_on_error")
"""Methods of SmartRetryMiddleware that a class of the repository's own may put others in the place of."""
_WHOLE_SECONDS = "taskiq_pg."
"""Brokers that take no fraction of a second: `int(delay_value)` in taskiq_pg/broker.py."""
_RETRY_SOURCE = "retry_source"
"""The variable that holds the source of retries."""
_IMPORT_LABELS = "from taskiq.schedule_sources import LabelScheduleSource"
_EVERY_S = 5
"""How often a scheduler that is started for retries looks for them; 60 by default."""


@dataclass(frozen=True)
class Setup:
    """A broker, with what it has and what it is to get for one job.

    - `url`: its address, as its module writes it
    - `adds`: it gets the middleware
    - `waits`: retries go through a scheduler; `source`: one that is to be made for them
    - `tells`: the handler says its waits itself
    - `labels`: the scheduler is to read the tasks' labels
    - `exchanged`: a condition puts one in memory in its place, as people do for tests
    - `starts`: the lines that start a worker or a scheduler; `unloaded`: those that do not know the
      handler
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
    if app is None:
        return None
    # Those in memory come last.
    for broker in find_brokers(project):
        if broker.name == f"{app.module}.{app.name}":
            return broker
    return None


def read_setup(project: Project, facts: Facts, broker: Broker) -> Setup:
    """What is there, and what is to be added for this job."""
    scheduler = _find_scheduler(project, broker)
    is_bounded = facts.retries.bounded
    # The middleware that retries is the last one: it is asked first.
    part = None
    if broker.retrying and is_bounded:
        part = broker.retrying[-1]
    adds = is_bounded and part is None
    source = adds and not broker.waits
    waits, tells = source, True
    if part is not None:
        waits = has_source(part)
        tells = part.kind == "SmartRetryMiddleware" and make_delay(project, part) is None
    labels = facts.trigger != "event" and not _reads_labels(project, scheduler)
    problem = _explain_problem(project, facts, broker, part)
    if not problem:
        problem = _explain_closed(broker, scheduler, source=source, labels=labels)
    in_memory = [other.name for other in find_brokers(project) if other.in_memory]
    starts = tuple(find_starts(project))
    return Setup(
        broker,
        scheduler,
        url=_spell_url(broker),
        adds=adds,
        source=source,
        waits=waits,
        tells=tells,
        labels=labels,
        problem=problem,
        exchanged=broker.name in in_memory,
        starts=starts,
        unloaded=tuple(_find_unloaded(project, facts, broker, scheduler, starts)),
    )


def _find_scheduler(project: Project, broker: Broker) -> Scheduler | None:
    """The first scheduler that sends to a broker."""
    for scheduler in find_schedulers(project):
        if scheduler.broker is None:
            continue
        if broker in brokers_of(project, scheduler.broker, scheduler.module):
            return scheduler
    return None


def _reads_labels(project: Project, scheduler: Scheduler | None) -> bool:
    """Whether a scheduler sends what stands in the labels of tasks, as far as can be told."""
    if scheduler is None:
        return False
    if scheduler.sources is None:
        return any(project.modules_with("LabelScheduleSource"))
    classes = [class_of(project, *source) for source in scheduler.sources]
    return "LabelScheduleSource" in classes


def _spell_url(broker: Broker) -> str:
    """The address as the broker's module writes it, on one line; "" where it is given none."""
    node = argument(broker.node, "url", 0)
    if node is None:
        return ""
    written = ast.get_source_segment(broker.module.text, node) or ""
    if "\n" in written:
        return ast.unparse(node)
    return written


def _explain_closed(
    broker: Broker, scheduler: Scheduler | None, *, source: bool, labels: bool
) -> str:
    """Why a source for retries cannot be made, or the scheduler takes none; "" where they can."""
    if source and not _can_make_source(broker):
        kind = broker.kind.rpartition(".")[2]
        return (
            f"nothing waits for a retry of {kind} here, and what would is not written: give it "
            "SmartRetryMiddleware(schedule_source=...), with a source that a TaskiqScheduler reads"
        )
    # A scheduler with a name can be given more by a statement below it.
    if scheduler is None or scheduler.name:
        return ""
    is_below = source and _is_below(broker, scheduler)
    is_appended = (source or labels) and not scheduler.is_listed
    if is_below or is_appended:
        return (
            f"no source can be added to the TaskiqScheduler of {scheduler.module.path}: make it at"
            " the left margin"
        )
    return ""


def _can_make_source(broker: Broker) -> bool:
    """Whether a source for retries can be written below a broker, over the same Redis."""
    if broker.kind.rpartition(".")[2] not in _KNOWN_BY_URL:
        return False
    return bool(_spell_url(broker)) and broker.module.function_of(broker.node) is None


def _is_below(broker: Broker, scheduler: Scheduler) -> bool:
    """Whether what is added to the broker's module stands below the scheduler."""
    return scheduler.module.path == broker.module.path


def _explain_problem(project: Project, facts: Facts, broker: Broker, part: Part | None) -> str:
    """Why the middleware that is there cannot keep the spec's waits; "" where it can."""
    delays = facts.retries.delays
    has_fractions = facts.retries.jitter or not all(delay.is_integer() for delay in delays)
    if broker.kind.startswith(_WHOLE_SECONDS) and any(delays) and has_fractions:
        kind = broker.kind.rpartition(".")[2]
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
    """Why one middleware that retries cannot keep the spec's waits; "" where it can."""
    if part.kind == "SimpleRetryMiddleware":
        if not any(facts.retries.delays):
            return ""
        return (
            "the broker's SimpleRetryMiddleware waits for nothing: put SmartRetryMiddleware in its"
            " place"
        )
    named, is_overridden = part.kind, False
    if part.own is not None:
        named = part.own.name
        is_overridden = any(project.member([part.own], method) for method in _RETRYING_METHODS)
    if part.unread or is_overridden:
        return f"the broker's {named} retries in a way of its own, which was not read"
    # One of the two has to wait, and only one.
    if has_source(part) is broker.waits:
        return _explain_source(broker, named)
    return _explain_waits(project, part, named, facts.retries.delays)


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
    method = make_delay(project, part)
    if method is not None:
        waits = own_waits(project, method)
        if waits is not None and waits.delays(len(delays)) == delays:
            return ""
        return f"{named}.make_delay computes other waits than retry.backoff says"
    for name in _WAIT_CHANGING:
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
    """What would not know the handler: workers where its module is new, and the scheduler of a
    tick.
    """
    is_new = facts.path not in facts.use.task_modules
    ticking = ""
    if scheduler is not None and facts.trigger != "event":
        ticking = scheduler.module.name
    for start in starts:
        is_worker = start.starts(broker.module.name)
        is_ticking = bool(ticking) and start.mode == "scheduler" and start.home == ticking
        has_to_know = is_ticking or (is_worker and is_new)
        if has_to_know and not start.loads(project, facts.module, facts.path):
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
    needed, lines, sources, option = [], [], [], ""
    if setup.labels:
        sources.append(f"LabelScheduleSource({setup.name})")
    if setup.source:
        needed.append("from taskiq_redis import ListRedisScheduleSource")
        lines.append(f'{_RETRY_SOURCE} = ListRedisScheduleSource({setup.url}, prefix="retries")')
        sources.append(_RETRY_SOURCE)
        option = f"schedule_source={_RETRY_SOURCE}"
    if setup.adds:
        needed.append("from taskiq import SmartRetryMiddleware")
        lines.append(f"{setup.name}.add_middlewares(SmartRetryMiddleware({option}))")
    if setup.scheduler is None and sources:
        needed.append("from taskiq import TaskiqScheduler")
        if setup.labels:
            needed.append(_IMPORT_LABELS)
        lines.append(f"scheduler = TaskiqScheduler({setup.name}, sources=[{', '.join(sources)}])")
    if lines:
        yield _change_module(facts, setup.broker.module, needed, lines, render)


def _more_sources(
    facts: Facts, setup: Setup, scheduler: Scheduler, render: Render
) -> Iterator[Piece]:
    """The sources that a scheduler lacks: in its list, where that is written out and stands below
    what is added to it; else appended to that list.
    """
    if setup.labels and scheduler.broker:
        value = f"LabelScheduleSource({ast.unparse(scheduler.broker)})"
        yield _add_source(facts, scheduler, value, [_IMPORT_LABELS], render)
    if not setup.source:
        return
    if _is_below(setup.broker, scheduler):
        yield _append_source(facts, scheduler, _RETRY_SOURCE, [], render)
    else:
        needed = [f"from {setup.broker.module.name} import {_RETRY_SOURCE}"]
        yield _add_source(facts, scheduler, _RETRY_SOURCE, needed, render)


def _add_source(
    facts: Facts, scheduler: Scheduler, value: str, needed: Sequence[str], render: Render
) -> Piece:
    """A source in the scheduler's list where that is written out, else below it."""
    if scheduler.is_listed:
        path = scheduler.module.path
        return Entry(path, "TaskiqScheduler(sources=)", value, imports=tuple(needed))
    return _append_source(facts, scheduler, value, needed, render)


def _append_source(
    facts: Facts, scheduler: Scheduler, value: str, needed: Sequence[str], render: Render
) -> Piece:
    """A source that is appended by a statement of its own."""
    lines = [f"{scheduler.name}.sources.append({value})"]
    return _change_module(facts, scheduler.module, needed, lines, render)


def _change_module(
    facts: Facts, home: Code, needed: Sequence[str], lines: Sequence[str], render: Render
) -> Module:
    """Statements for a module that is there."""
    text = render("below_broker.py.jinja", facts, home=home.name, needed=needed, lines=lines)
    return Module(home.path, text)


def _start_scheduler(facts: Facts, setup: Setup) -> Iterator[Piece]:
    """The scheduler's line in a Procfile, like the worker's."""
    for worker in setup.starts:
        if not worker.starts(setup.broker.module.name) or not worker.in_procfile:
            continue
        # To read the labels of tasks, it has to import them.
        modules: dict[str, None] = {}
        if setup.labels:
            modules = dict.fromkeys((*worker.modules, facts.module))
        line = worker.scheduling(setup.scheduler_path, tuple(modules))
        if setup.source:
            line += f" --update-interval {_EVERY_S}"
        yield Line(worker.path, line)
        return
