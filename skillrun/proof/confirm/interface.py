"""What a confirmation needs of a broker, and what it says in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class NotConfirmed(Exception):
    """A schedule that cannot be repeated with a real worker; the words are for a person."""


class Broker(Protocol):
    """A private broker, seen from outside. Made with a Setting whose servers run."""

    ALONE: bool  # no keys that the library counts time by lie where the handler's do: those may age at any moment
    url: str  # for the worker

    def reset(self) -> None:
        """Empty, for the next schedule."""

    def waiting(self) -> int:
        """Messages that wait, or that a worker has and did not acknowledge."""

    def queues(self) -> list[str]:
        """The names of the queues in which messages wait."""

    def keep(self) -> None:
        """Remembers the messages that wait now."""

    def again(self) -> None:
        """Delivers the remembered messages a second time."""

    def clear(self) -> None:
        """Loses every message."""

    def age(self, seconds: float) -> None:
        """As if that time had passed: what the broker, or another worker, gives back then is given
        back.
        """

    def dead(self) -> int | None:
        """How many the library's own dead-letter place holds; None where it has none."""

    def stop(self) -> None:
        """Leaves nothing."""


@dataclass(frozen=True)
class Seen:
    """What a schedule came to: the same for a simulated and for a real worker."""

    outcomes: tuple[str, ...]  # of each delivery to the handler: returned | raised | died
    performed: tuple[tuple[str, str | None], ...]  # (effect, key) of each call
    state: Mapping[str, Any] = field(default_factory=dict)
    dead_letters: int | None = None
    delays: tuple[float, ...] = ()  # seconds for which the job was made to wait
    seconds: float | None = None  # of real time

    def calls(self) -> dict[tuple[str, str | None], int]:
        """(effect, key) -> how often it took place."""
        return dict(Counter(self.performed))


@dataclass(frozen=True)
class Confirmed:
    """One schedule, simulated and real. `agrees` is None where there is no real one: `note` says
    why.
    """

    schedule: str
    simulated: Seen
    real: Seen | None
    differs: tuple[str, ...] = ()
    note: str = ""

    @property
    def agrees(self) -> bool | None:
        return None if self.real is None else not self.differs
