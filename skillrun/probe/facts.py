"""What is said of a job library and of a handler at the boot: by the driver, and by the zygote.

The words cross from the repository's interpreter to skillrun's as JSON. The same classes stand on
both sides, and whatever does not fit them is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Facts:
    """What a driver says of its library, and of the job as the application has set it up."""

    library: str = ""  # with its version: "rq 3.0.0"
    owner: str | None = None  # the library that the handler belongs to, if its driver is another
    redelivery_s: float = 0.0  # after so long the message of a dead worker comes back
    on_kill: str = ""  # the same in words for a person
    acks_late: bool | None = None  # None: nothing is acknowledged
    made_late: bool = False  # the application has it otherwise: the proof asks what would be
    max_attempts: int | None = None  # None: unbounded
    bounded_kills: bool | None = None  # a job that kills its worker uses up attempts
    victims_differ: bool = False  # a dead child and a dead worker are treated differently
    lossy: bool = False  # a kill loses the job by design
    ticks: bool = False  # nothing but the next tick runs it again
    is_called: bool = False  # no message is there: its caller gets its errors, and calls again
    same_process: bool = False  # a worker's process runs one delivery after the other
    shared: str = ""  # how several run in it at a time: "" one by one, "loop", "threads"
    counts_dead: bool = False  # what ends up in its own dead-letter place settles with `dead`
    sets_log_level: bool = False  # its worker gives the root logger a level of its own
    spread: float = 1.0  # its jitter makes a computed wait up to so many times as long
    one_by_id: bool = False  # a job that is enqueued under the id of one that waits takes its place
    # How its keys begin in a Redis in which the application's own may be, too; "" where it has
    # none.
    redis_keys: str = ""
    keeps_rows: bool = False  # its messages are rows of the application's own database
    ends_stuck: bool = False  # its worker ends a job that runs for too long
    limit_error: str = ""  # what its worker raises in the job then; "" where it raises nothing
    # What a handler raises by the library's own word that no attempt is left; "" where there is no
    # such.
    exhausted_error: str = ""
    # What does not come before another process than a worker brings it: "delay" a job that waits,
    # "schedule" this one.
    timed: tuple[str, ...] = ()
    # Functions ("shop.tasks:tick") that its scheduler calls, in the workers that the repository
    # starts; None where that is not known.
    scheduled: tuple[str, ...] | None = None
    broker_error: str = "ConnectionError"  # what a publisher meets whose broker is away


@dataclass(frozen=True)
class BootFacts(Facts):
    """And what the zygote says of the handler that it has imported."""

    file: str = ""  # of the handler
    loggers: tuple[str, ...] = ()  # prefixes of the library's own
    modules: tuple[str, ...] = ()  # the repository's files that are imported
    # Effect -> the exceptions of the spec that its adapter could not raise.
    foreign_errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    awaited: tuple[str, ...] = ()  # the effects that are called with await
    begun: str = (
        ""  # the command line by which the worker was begun before the handler was imported
    )
    # The queues from which the repository's workers take jobs, as their command lines say; empty
    # where that is not known.
    consumed: tuple[str, ...] = ()
    # Whether the repository starts that process; None where it is not known, or nothing is timed.
    has_timer: bool | None = None
    has_gate: bool | None = None  # the kernel asks before a system call leaves; None: not booted


def add_boot(said: Facts, **more: Any) -> BootFacts:
    """The driver's facts with the zygote's own."""
    return BootFacts(**dataclasses.asdict(said), **more)


def read_facts(document: Any) -> BootFacts:
    """From JSON. Raises ValueError for what no zygote says."""
    declared = {one.name: str(one.type) for one in dataclasses.fields(BootFacts)}
    if not isinstance(document, dict) or document.keys() != declared.keys():
        raise ValueError("no facts")
    return BootFacts(**{name: _read_value(document[name], declared[name]) for name in declared})


_KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float": (int, float),
    "int": (int,),
    "str": (str,),
}


def _read_value(value: Any, declared: str) -> Any:
    """As its field is declared."""
    declared, _, optional = declared.partition(" | ")
    if optional and value is None:
        return None
    if declared.startswith("Mapping"):
        return {name: _read_words(words) for name, words in _read_mapping(value).items()}
    if declared.startswith("tuple"):
        return _read_words(value)
    # A bool is an int to Python, and none here.
    is_flag = isinstance(value, bool)
    if not isinstance(value, _KINDS[declared]) or is_flag != (declared == "bool"):
        raise ValueError(f"{value!r} is no {declared}")
    return value


def _read_mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no mapping")
    return value


def _read_words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("no list of words")
    return tuple(value)
