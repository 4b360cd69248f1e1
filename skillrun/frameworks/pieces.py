"""What a scaffold is made of: the facts that templates may use, and the pieces that they become.

A framework's `scaffold.py` turns `Facts` into pieces; `skillrun/skills/job_worker/scaffold/` fits
the pieces into the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.repo.uses import FrameworkUse

Render = Callable[..., str]
"""`render("handler.py.jinja", facts, **more)`: the text of a template in the `templates` folder of its package."""


# -- what the repository does, as far as it can be seen


@dataclass(frozen=True)
class Integration:
    """The repository tries its code against real servers: the folder of such tests, and their
    marker in pytest.
    """

    folder: str
    marker: str | None = None


@dataclass(frozen=True)
class Conventions:
    """How this repository writes what a scaffold has to write."""

    quote: str = '"'
    indent: str = "    "
    line_length: int = 88
    annotations: bool = True  # functions are annotated
    test_annotations: bool = True  # and so are tests
    absolute_imports: bool = True
    logger: str = "logger"  # the name of module loggers
    logger_import: str = "import logging"
    logger_value: str = (  # "" where the import alone binds it: from loguru import logger
        "logging.getLogger(__name__)"
    )
    log_style: str = (  # percent: log.info("x order_id=%s", order_id) | structlog: log.info("x", order_id=order_id)
        "percent"
    )
    # Commands that take file names, e.g. "ruff format", "black -q", "isort -q".
    formatters: tuple[str, ...] = ()
    test_runner: str = (
        "pytest"  # pytest | unittest | django: how tests are written; pytest runs all three
    )
    tests: str = "tests"  # the folder where tests of the handler's package live
    test_pattern: str = (  # or "{}_test.py", "{}.py"; "tests.py" where all tests of a package are in one file
        "test_{}.py"
    )
    integration: Integration | None = (
        None  # None: nothing in the repository starts a broker for tests
    )
    notes: str | None = (
        None  # the Markdown file that holds operational notes; None: the module docstring does
    )
    metrics: str | None = (
        None  # prometheus_client | statsd | opentelemetry, where the repository uses it
    )
    metrics_client: Symbol | None = (
        None  # statsd: the client that code imports, e.g. datadog:statsd
    )
    metrics_count: str = "incr"  # statsd: the client's method that counts, incr or increment
    python: tuple[int, int] = (3, 10)  # the oldest that the code must run on
    source_root: str = ""  # the folder that leads import paths, "src", "backend" or ""


# -- the job


@dataclass(frozen=True)
class Field:
    """A field of the payload."""

    name: str
    annotation: str  # int, str, float, bool, dict, list, or object
    required: bool
    valid: (
        str  # a Python expression over the name that holds for valid values; "" where anything goes
    )
    example: Any = None  # its value in the first example
    sql: str = "TEXT"  # a column type that holds it, in standard SQL
    other: Any = None  # its value in a second, distinct job


@dataclass(frozen=True)
class Symbol:
    """Something that is imported: "shop.mailer:Unavailable"; a builtin has no module."""

    module: str  # "" for a builtin
    name: str
    exists: bool = True  # False: the scaffold writes it
    path: str = ""  # of its module, where that is the repository's or is to be written
    args: tuple[Any, ...] = ()  # of an error: what it is raised with

    @property
    def tail(self) -> str:
        """The last part of its module: what `from shop import mailer` binds."""
        return self.module.rpartition(".")[2]

    @property
    def written(self) -> str:
        """How code refers to it where its module is imported with `from package import module`."""
        if self.module:
            return f"{self.tail}.{self.name}"
        return self.name


def name_of(symbol: Symbol | None) -> str:
    """Its name, as templates ask for it; "" where there is none."""
    if symbol is None:
        return ""
    return symbol.name


@dataclass(frozen=True)
class EffectCall:
    """A call to a declared adapter."""

    name: str
    call: Symbol
    arguments: tuple[str, ...]  # payload fields, passed by keyword
    key_arg: str | None
    guarantee: str  # keyed | transactional | at_least_once | at_most_once
    reason: str | None
    returns: Any = None
    window_s: float | None = None
    handle_arg: str | None = (
        None  # transactional: the parameter that takes the open transaction, where it has one
    )
    awaited: bool = False  # its adapter is a coroutine function, or will be one


@dataclass(frozen=True)
class Retries:
    """The retry policy of the spec; `reason` instead of attempts where nothing is retried."""

    max_attempts: int = 1
    kind: str = "none"  # none | fixed | exponential
    base_s: float = 0.0
    factor: float = 2.0
    cap_s: float | None = None
    jitter: bool = False
    reason: str | None = None  # why there is none
    delays: tuple[float, ...] = ()  # the longest wait before each retry, in seconds

    @property
    def bounded(self) -> bool:
        return self.max_attempts > 1


@dataclass(frozen=True)
class Store:
    """Where a handled key is remembered: the module that a store template writes, and what it
    offers.

    Every store has the same two names for the handler, so that any framework goes with any store:
    `once(<key fields>)`, a context manager that yields something true where the work is to be done
    and something false
    where it was done before (transactional: the open transaction, or None); and `bury(payload,
    reason)` where the
    dead letter is a table.
    """

    kind: str  # sqlite3 | sqlalchemy | django | redis | receiver
    module: str  # "shop.send_receipt_store"
    path: str
    name: str  # the table, or the prefix of the Redis keys
    window_s: float | None
    transactional: bool = (
        False  # the effects are written in the transaction that holds the dedupe row
    )
    claims: bool = False  # at_most_once: the row is committed before the effect
    connect: Symbol | None = (
        None  # the repository's own way to its database (a connection, a session, an engine, a client)
    )
    base: Symbol | None = None  # SQLAlchemy's declarative base
    extras: dict[str, Any] = field(default_factory=dict)  # what else the store's own template needs

    @property
    def tail(self) -> str:
        """How the handler calls the store's module."""
        return self.module.rpartition(".")[2]


@dataclass(frozen=True)
class Facts:
    """All that templates may use."""

    job: str  # "send-receipt"
    name: str  # the handler: "send_receipt"
    title: str  # "SendReceipt"
    what: str
    why: str
    module: str  # "shop.tasks"
    path: str  # "shop/tasks.py"
    package: str  # "shop"; "" at the top
    message: str  # kwargs | payload
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    effects: tuple[EffectCall, ...]
    transient: tuple[Symbol, ...]
    permanent: tuple[Symbol, ...]
    invalid: Symbol  # the permanent error that a payload outside its schema raises
    retries: Retries
    dead_letter: str  # table | queue | framework | none
    dead_letter_where: str
    dead_letter_reason: str | None
    trigger: str  # event | cron | poller
    schedule: str | None
    timezone: str | None
    every_s: float | None
    enqueue: Symbol  # the function that publishes the job
    store: Store
    use: FrameworkUse
    app: Symbol | None  # the framework's app, queue, broker or huey object
    conventions: Conventions
    awaits: bool = False  # the handler is a coroutine function
    django: bool = (
        False  # the handler lives in a Django project: what is published waits for the commit
    )
    # What else a framework's own templates need.
    of_library: dict[str, Any] = field(default_factory=dict)

    @property
    def own_packages(self) -> frozenset[str]:
        """The first parts of the import paths of the repository's own modules, as far as this job
        knows them.
        """
        named = [
            self.app,
            self.enqueue,
            self.store.connect,
            self.store.base,
            *(e.call for e in self.effects),
        ]
        # What a clock starts, in a module of its own.
        named.append(self.of_library.get("tick"))
        modules = []
        for symbol in named:
            if symbol is not None and symbol.path:
                modules.append(symbol.module)
        packages = set()
        for module in (self.module, self.store.module, *modules):
            if module:
                packages.add(module.partition(".")[0])
        return frozenset(packages)


# -- what is written


@dataclass(frozen=True)
class Module:
    """A Python module written as if it were alone; what the repository's module lacks of it is
    added there.
    """

    path: str
    source: str


@dataclass(frozen=True)
class NewFile:
    """A whole file. One that is there is never changed; `marks` are words that differ without
    making it another.
    """

    path: str
    text: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One more element of a list, tuple or dict that a Python file holds."""

    path: str
    target: str  # "INSTALLED_APPS", "app.conf.beat_schedule", or "Celery(include=)" for a keyword of a call
    value: str  # source text
    key: str | None = None  # source text, for a dict
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of a Markdown file, added at its end where its heading is not there."""

    path: str
    heading: str  # "## send-receipt"
    text: str


@dataclass(frozen=True)
class Line:
    """A line of a text file, such as a crontab or a Procfile, added at its end where it is not
    there.
    """

    path: str
    text: str


@dataclass(frozen=True)
class Rewritten:
    """A line of a text file in another form; nothing where the file has no such line. Both without
    indentation.
    """

    path: str
    line: str
    text: str


@dataclass(frozen=True)
class SpecParts:
    """Parts of the job spec that it leaves out, added at its end."""

    path: str
    parts: Mapping[str, Any]


Piece = Module | NewFile | Entry | Section | Line | Rewritten | SpecParts
