"""What a confirmation says in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ScheduleOutcome:
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
    simulated: ScheduleOutcome
    real: ScheduleOutcome | None
    differs: tuple[str, ...] = ()
    note: str = ""

    @property
    def agrees(self) -> bool | None:
        if self.real is None:
            return None
        return not self.differs
