"""One schedule as it runs: what waits in the virtual queue, what was delivered, and when it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.exploring.others import Others
from skillrun.proof.history import Delivery, Swept
from skillrun.proof.rivals import Rivalry
from skillrun.proof.schedule import Schedule
from skillrun.proof.store_watch import StoreWatch

CALLER = -2


@dataclass
class Waiting:
    """A message in the virtual queue."""

    message: dict[str, Any]
    due: float
    job: int
    op: str = "deliver"  # "callback": it is for what the library calls after the handler
    again: bool = False  # a callback's faults come about once
    parent: int = 0  # the delivery that published it or gave it back; 0: the application


@dataclass
class Run:
    """What a schedule has come to so far."""

    schedule: Schedule
    now: float = 0.0
    queue: list[Waiting] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    count: int = 0  # deliveries to the handler so far
    callbacks: int = 0  # deliveries to its callbacks
    widest: int = 1  # messages to the handler that one delivery has published
    dead: int = 0
    lost: int = 0
    early: int = 0
    hung: str | None = None
    notes: list[str] = field(default_factory=list)
    idle: int = 0  # ticks that found nothing to do
    tries: int = 0  # ticks that met a fault
    follow: list[float] = field(default_factory=list)  # when a poller is looked at again
    since: float = 0.0
    is_second_look: bool = False  # the next tick comes since the last one wrote something
    # Varied payload -> what its rows are copies of.
    cloned: dict[int, tuple[str, ...]] = field(default_factory=dict)
    watch: StoreWatch | None = None
    rivalries: list[Rivalry] = field(default_factory=list)
    emptied: bool = False  # the broker has lost its messages
    is_outlasted: bool = False  # the delivery that stands still late has been made
    swept: list[Swept] = field(default_factory=list)
    others: Others = field(default_factory=Others)
    # Deliveries after which this explorer's code delivers no more, see `deploying`.
    until: int | None = None


@dataclass(frozen=True)
class Origin:
    """The proof's messages: by job, and what the caller reported when it published the first."""

    # 0: the proof's own, 1..: distinct jobs, -1-N: poison payload N.
    messages: dict[int, dict[str, Any]]


class NotPublished(Exception):
    """A message could not be made: which job's, why, and the publish whose value no serialiser
    takes.
    """

    def __init__(self, job: int, why: str, unfit: Delivery | None = None) -> None:
        super().__init__(why)
        self.job, self.why, self.unfit = job, why, unfit
