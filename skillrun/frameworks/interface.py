"""What skillrun needs to know of a job library. A framework is a package with a `Framework`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.uses import FrameworkUse, Place

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.frameworks.broker import Broker, Premises
    from skillrun.frameworks.features import Features
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Call, Definition, Module, Project
    from skillrun.repo.survey import Recogniser, Survey


@dataclass(frozen=True)
class Backoff:
    """The wait before each retry, in seconds."""

    kind: str  # none | fixed | exponential
    base_s: float = 0.0
    factor: float = 1.0
    cap_s: float | None = None  # None: uncapped
    jitter: bool = False
    spread: float = 1.0  # jitter makes a wait up to this many times as long, below the cap
    # Written out one by one, as a list; then the fields above only describe them.
    waits: tuple[float, ...] = ()

    def delays(self, retries: int) -> tuple[float, ...]:
        """The longest wait before each of `retries` retries, in seconds."""
        if self.waits:
            return (*self.waits, *(self.waits[-1:] * (retries - len(self.waits))))[:retries]
        if self.cap_s is not None:
            cap = self.cap_s
        else:
            cap = float("inf")
        return tuple(min(self.base_s * self.spread * self.factor**n, cap) for n in range(retries))


@dataclass(frozen=True)
class Policy:
    """The effective retry and delivery policy of one handler, as code and configuration say.

    A value that the code computes, and that could not be read, is named in `unknown` with its
    place.
    """

    max_attempts: int | None  # counts the first try; None: unbounded
    backoff: Backoff
    # Import paths of exceptions, "module:Class"; builtins as "builtins:TimeoutError".
    retried: tuple[str, ...] = ()
    not_retried: tuple[str, ...] = ()
    acks_late: bool = False
    reject_on_worker_lost: bool = False
    visibility_timeout_s: float | None = None  # None: the broker has none
    time_limit_s: float | None = None
    serializer: str = "json"
    dead_letter: Place | None = None  # where a record is written after the last attempt
    # Field -> place; None: the library's default.
    sources: dict[str, Place | None] = field(default_factory=dict)
    unknown: dict[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class Arguments:
    """What a call gives to the job itself, as it is written."""

    positional: tuple[ast.expr, ...] = ()
    named: Mapping[str, ast.expr] = field(default_factory=dict)
    # `*rest`, `**more` or a variable: the text does not show all of them.
    partly_hidden: bool = False

    @property
    def values(self) -> tuple[ast.expr, ...]:
        """Every expression, by position and by name."""
        return (*self.positional, *self.named.values())


@dataclass(frozen=True)
class Send:
    """One place that publishes or schedules the job.

    `call` holds the node, its file, and the `with` blocks around it. It is None where nothing is
    called: a setting, a name as text, a task that is handed on as a value. `arguments` are the
    job's own, apart from `options`, which the library keeps; None where a function of the
    repository stands between, so that nobody can tell which of its arguments reach the job.
    """

    kind: str  # enqueue | schedule
    place: Place
    how: str  # e.g. ".delay(...)", "beat_schedule['nightly']"
    in_tests: bool = False
    own: bool = False  # it stands in the handler, which publishes itself once more
    call: Call | None = None
    via: str = ""  # which of the library's ways it is, in the library's words
    arguments: Arguments | None = None
    options: Mapping[str, tuple[ast.expr, Module]] = field(default_factory=dict)  # each in its file
    options_hidden: bool = False  # some may come from where they cannot be read
    serializer: str | None = None  # what this call asks for; None: that of the policy
    waits_for_commit: bool = False  # by itself: no worker sees it before the commit
    only_built: bool = False  # a message that is sent elsewhere, or never
    is_coroutine: bool = False  # nothing is sent until it is awaited

    def option(self, *names: str) -> tuple[ast.expr, Module] | None:
        """What is given for an option, by any of its names; None for the library's default."""
        for name in names:
            found = self.options.get(name)
            if found is None:
                continue
            node = found[0]
            if not isinstance(node, ast.Constant) or node.value is not None:
                return found
        return None


def find_wiring(sends: Iterable[Send]) -> tuple[Send, ...]:
    """What enqueues or schedules a job from outside: not the job itself, which runs only then."""
    return tuple(send for send in sends if not send.own)


@dataclass(frozen=True)
class Job:
    """What a rule may look at."""

    project: Project
    survey: Survey
    use: FrameworkUse
    spec: JobSpec
    handler: Definition
    policy: Policy


@dataclass(frozen=True)
class NotRead:
    """A rule that says nothing, because something on its path is not understood."""

    rule: str
    because: str  # e.g. "the app class comes from `notifications_utils`"
    place: Place


@dataclass(frozen=True)
class Reading:
    """What a rule says of a job. Only what is contradicted stops a stage."""

    findings: tuple[Finding, ...] = ()
    not_read: tuple[NotRead, ...] = ()

    @property
    def answer(self) -> Literal["holds", "contradicted", "not read"]:
        """What was contradicted for certain is so, whatever else could not be read."""
        for finding in self.findings:
            if finding.severity in (Severity.BLOCKER, Severity.ERROR):
                return "contradicted"
        if self.not_read:
            return "not read"
        return "holds"


RuleStage = Literal["contract", "idempotency", "handler", "retry", "dead-letter"]
"""The stages that ask for what the rules find."""


@dataclass(frozen=True)
class Rule:
    """One thing that people get wrong with this library, and how to see it in the code."""

    id: str  # "<framework>.<slug>"
    stage: RuleStage  # the stage whose findings it joins
    why: str
    source: str  # the bug or the documentation that it comes from
    find: Callable[[Job], Iterable[Finding]]
    # What an error of it is read from: the handler with all that stands around it, or the setup
    # and the calls that send, which are what they are whatever wraps the handler.
    rests_on: Literal["handler", "setup"] = "handler"


def find_no_hooks(
    project: Project, use: FrameworkUse, handler: Definition
) -> dict[str, Definition]:
    """Of a library that calls nothing of the repository's around a job."""
    return {}


@dataclass(frozen=True)
class Code:
    """What is read of the jobs of one library."""

    # The task behind an import path "module:object", or None.
    find_handler: Callable[[Project, FrameworkUse, str], Definition | None]
    # Where the handler is registered with the library (its decorator or a call), or None.
    find_registration: Callable[[Project, FrameworkUse, Definition], Place | None]
    # The effective policy of a handler.
    read_policy: Callable[[Project, FrameworkUse, Definition], Policy]
    # Every place that enqueues or schedules the handler, in order of path and line.
    find_sends: Callable[[Project, FrameworkUse, Definition], tuple[Send, ...]]
    # What people get wrong with it: functions with the decorator `rule` of `rulebook.py`.
    rules: tuple[Rule, ...]
    # Event (started, succeeded, failed, retried) -> the repository's function that the library
    # calls then.
    find_hooks: Callable[[Project, FrameworkUse, Definition], dict[str, Definition]] = find_no_hooks


@dataclass(frozen=True)
class Framework:
    """One job library. What reads, and what writes its jobs, is loaded when it is first asked."""

    ID: str
    TITLE: str
    IDIOMS: Mapping[str, str]  # stage -> a few lines that show how it is written with this library
    # The folder whose driver runs its jobs in the target's interpreter; None: any callable's does.
    DRIVER: str | None
    FEATURES: Features
    recogniser: Callable[[], Recogniser]  # a fresh one for one pass over the files
    # What its real worker is confirmed on. Raises NotConfirmed where there is none.
    make_broker: Callable[[Premises], Broker]
    load_code: Callable[[], Code]
    load_writer: Callable[[], JobWriter]

    @cached_property
    def _code(self) -> Code:
        return self.load_code()

    def find_handler(self, project: Project, use: FrameworkUse, handler: str) -> Definition | None:
        """See `Code`, as with the others."""
        return self._code.find_handler(project, use, handler)

    def find_registration(
        self, project: Project, use: FrameworkUse, handler: Definition
    ) -> Place | None:
        return self._code.find_registration(project, use, handler)

    def read_policy(self, project: Project, use: FrameworkUse, handler: Definition) -> Policy:
        return self._code.read_policy(project, use, handler)

    def find_sends(
        self, project: Project, use: FrameworkUse, handler: Definition
    ) -> tuple[Send, ...]:
        return self._code.find_sends(project, use, handler)

    def find_hooks(
        self, project: Project, use: FrameworkUse, handler: Definition
    ) -> dict[str, Definition]:
        return self._code.find_hooks(project, use, handler)

    def list_rules(self) -> tuple[Rule, ...]:
        return self._code.rules
