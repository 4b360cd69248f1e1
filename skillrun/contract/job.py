"""The job spec as frozen objects: the same names as in the file, durations in seconds, None for
what is missing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from skillrun.contract.duration import parse_duration


def _parse_seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    return value


def _none_kind(value: Any) -> Any:
    if value == "none":
        return {"kind": "none"}
    return value


def _unknown_strategy(value: Any) -> Any:
    if value == "unknown":
        return {"strategy": "unknown"}
    return value


def _name_as_mapping(value: Any) -> Any:
    if isinstance(value, str):
        return {"type": value}
    return value


Seconds = Annotated[float, BeforeValidator(_parse_seconds)]


class Part(BaseModel):
    """A frozen part of a spec; a key that it does not know is refused."""

    # Built with the whole spec, at its first use, and not each part for itself: half of the time.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Intent(Part):
    what: str | None = None
    why_async: str | None = None


class Trigger(Part):
    type: Literal["event", "cron", "poller"]
    schedule: str | None = None
    timezone: str | None = None
    every: Seconds | None = None


class Enqueue(Part):
    call: str
    args: dict[str, Any] = Field(default_factory=dict)
    relay: str | None = None  # publishes later what a call has left unpublished (outbox)


class Sweep(Part):
    """Brings back what stood still: a function without arguments, and how often it runs."""

    call: str
    every: Seconds


class Dedupe(Part):
    store: str | None = None
    window: Seconds | None = None  # None: for ever


class Invariant(Part):
    statement: str | None = None
    guarded_by: str | None = None


class Idempotency(Part):
    strategy: Literal["keyed", "invariant", "unknown"] = "unknown"
    key: tuple[str, ...] = ()
    dedupe: Dedupe | None = None
    invariant: Invariant | None = None
    test: str | None = None  # a command that runs one test: the job is delivered twice


class Effect(Part):
    name: str
    call: str
    key_arg: str | None = None
    window: Seconds | None = None
    guarantee: (
        Literal["keyed", "transactional", "at_least_once", "at_most_once", "convergent"] | None
    ) = None
    reason: str | None = None
    mode: Literal["stand_in", "pass_through"] = "stand_in"
    returns: Any = None

    @property
    def promise(self) -> str | None:
        """The guarantee. Where none is given, the argument of a key says that its receiver drops
        what comes twice; None: nothing is promised, so that nothing can be proved.
        """
        if self.guarantee is None and self.key_arg is not None:
            return "keyed"
        return self.guarantee


class JobError(Part):
    """An exception, "module:Class" or the name of a built-in one, and how it is made and met."""

    type: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Field(default_factory=dict)
    factory: str | None = None  # makes it; None: its class does
    effects: tuple[str, ...] | None = None  # which it comes out of; None: not said
    wait: Seconds | None = None  # in the place of the backoff
    unsent: bool = False  # it comes only where the effect has not taken place


NamedError = Annotated[JobError, BeforeValidator(_name_as_mapping)]


class Failures(Part):
    transient: tuple[NamedError, ...] = ()
    permanent: tuple[NamedError, ...] = ()
    success: tuple[NamedError, ...] = ()
    acceptable_delay: Seconds | None = None

    @property
    def listed(self) -> tuple[JobError, ...]:
        """Every error, in the order in which a schedule counts those of one class."""
        return (*self.transient, *self.permanent, *self.success)

    @property
    def success_names(self) -> tuple[str, ...]:
        """Import paths of the errors that mean success."""
        return tuple(error.type for error in self.success)

    @property
    def transient_names(self) -> tuple[str, ...]:
        """Import paths of the transient errors, "module:Class" or a built-in's name."""
        return tuple(error.type for error in self.transient)

    @property
    def permanent_names(self) -> tuple[str, ...]:
        """Import paths of the permanent errors."""
        return tuple(error.type for error in self.permanent)


class BackoffSpec(Part):
    kind: Literal["none", "fixed", "linear", "exponential"]
    base: Seconds | None = None
    first: Seconds | None = None  # the first wait where it is another one
    step: Seconds | None = None  # of linear backoff; None: the base
    factor: float = 2.0
    cap: Seconds | None = None
    jitter: bool = False

    def wait_after(self, number: int) -> float:
        """The wait after so many others, in seconds, without its cap."""
        base = self.base or 0.0
        if self.kind == "exponential":
            return base * self.factor**number
        if self.kind == "linear":
            step = self.step
            if step is None:
                step = base
            return base + step * number
        return base


class Retry(Part):
    """`kind` is "none", or None for a policy with attempts."""

    kind: Literal["none"] | None = None
    reason: str | None = None
    max_attempts: int | None = None  # counts the first try
    backoff: BackoffSpec | None = None

    def delays(self, spread: float = 1.0) -> tuple[float, ...]:
        """The longest wait before each retry, in seconds; `spread`: jitter makes it so many times
        as long.
        """
        backoff = self.backoff
        retries = (self.max_attempts or 1) - 1
        if backoff is None or backoff.kind == "none":
            return (0.0,) * retries
        if backoff.cap is not None:
            cap = backoff.cap
        else:
            cap = float("inf")
        waits = [min(backoff.wait_after(n) * spread, cap) for n in range(retries)]
        if backoff.first is not None:
            waits = [backoff.first, *waits][:retries]
        return tuple(waits)


class DeadLetter(Part):
    kind: Literal["table", "queue", "framework", "none"]
    where: str | None = None
    reason: str | None = None


class Fixture(Part):
    file: str  # SQL, relative to the repository
    sha256: str  # of its bytes


class Proof(Part):
    python: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    services: tuple[Literal["redis", "postgresql"], ...] = ()
    setup: str | None = None
    setup_timeout: Seconds = 120.0
    fixture: Fixture | None = None
    database: str | None = None
    state: dict[str, str] = Field(default_factory=dict)
    not_state: tuple[str, ...] = ()  # tables that only coordinate
    rivals: tuple[str, ...] = ()  # "table.column:value" that somebody else may commit as well
    not_rivals: tuple[str, ...] = ()  # these, and "table.*", nobody commits
    values: dict[str, Any] = Field(default_factory=dict)  # import path -> what stands there instead
    scratch_files: tuple[str, ...] = ()  # globs of paths within the scratch
    dead_letters: str | None = None
    poison: tuple[Any, ...] = ()


class Worker(Part):
    deliveries: int | None = None  # at most, of a message that kills its worker each time
    death: Literal["loses"] | None = None  # it takes the job along; None: it loses nothing
    reason: str | None = None


class Waiver(Part):
    item: str
    reason: str
    by: str | None = None


class JobSpec(Part):
    """One job as its spec describes it. A part that the spec leaves out is None (or empty)."""

    version: Literal[1]
    job: str
    intent: Intent | None = None
    trigger: Trigger | None = None
    payload: dict[str, Any] | None = None
    language: str | None = None  # None: Python
    handler: str | None = None
    message: Literal["payload", "kwargs", "args"] | None = None
    enqueue: Enqueue | None = None
    recovers: tuple[Sweep, ...] = ()
    idempotency: Annotated[Idempotency, BeforeValidator(_unknown_strategy)] | None = None
    effects: tuple[Effect, ...] | None = None  # (): none, said explicitly
    failures: Failures | None = None
    retry: Annotated[Retry, BeforeValidator(_none_kind)] | None = None
    dead_letter: Annotated[DeadLetter, BeforeValidator(_none_kind)] | None = None
    worker: Worker | None = None
    proof: Proof | None = None
    waivers: tuple[Waiver, ...] = ()
    inputs: dict[str, Any] = Field(default_factory=dict)

    # The JSON values as written, overrides applied.
    raw: dict[str, Any] = Field(default_factory=dict, repr=False)
    sha256: str = ""
    path: Path = Path()
    shown_path: str = ""  # relative to the repository where it lies inside
    lines: dict[tuple[str | int, ...], int] = Field(default_factory=dict, repr=False)

    def line(self, *path: str | int) -> int:
        """The 1-based line of a value, or of the nearest thing around it: `spec.line("retry",
        "max_attempts")`.
        """
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def list_errors(self, kind: str) -> tuple[str, ...]:
        """Import paths of the errors that are transient, permanent or success, each class once;
        none where the spec says nothing of errors.
        """
        listed: tuple[JobError, ...] = getattr(self.failures, kind, ())
        return tuple(dict.fromkeys(error.type for error in listed))

    def private_values(self) -> tuple[str, ...]:
        """The environment that it gives to a proof."""
        given = {}
        if self.proof:
            given = self.proof.env
        return tuple(given.values())

    def part(self, name: str) -> Any:
        """A top-level part as plain JSON values, None where it is missing; for fingerprints."""
        return self.raw.get(name)

    @property
    def examples(self) -> tuple[Any, ...]:
        """The payload's examples."""
        return tuple((self.payload or {}).get("examples", ()))
