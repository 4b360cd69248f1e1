"""The schedules of a proof, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from skillrun.proof.schedule import Schedule

MOST = 300  # schedules of a default proof


@dataclass
class Plan:
    """Schedules in the order in which they are tried (the simplest first), and families that do not
    apply.
    """

    schedules: list[Schedule] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)  # family -> why
    # Family -> schedules left out because of the limit.
    cut: dict[str, int] = field(default_factory=dict)

    def add(self, family: str, schedules: Iterable[Schedule], most: int = MOST) -> None:
        """Takes a family's schedules up to a number; spread evenly where there are more."""
        found = list(dict.fromkeys(schedules))
        kept = found
        if len(found) > most:
            kept = [found[i * len(found) // most] for i in range(most)]
        self.schedules += kept
        if len(found) > len(kept):
            self.cut[family] = self.cut.get(family, 0) + len(found) - len(kept)
