"""What is said in the end: the verdict of a proof and of each promise, and what one judge says of
one history.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.core.verdict import RiskGrade


HOLDS = "holds"
"""What is said of one schedule that refutes nothing: it is no proof."""


class Verdict(StrEnum):
    """The words of reports and exit codes. A proof and a promise are one of the first three; a
    judge says any but `PROVED`: that is for whoever has heard them all.
    """

    PROVED = "proved"
    REFUTED = "refuted"
    INCOMPLETE = "incomplete"
    RISK = "risk"  # no promise covers it
    HINT = "hint"  # it could be better, and nothing is wrong


@dataclass(frozen=True)
class Judgement:
    """What one judge says of one history. `events`: the numbers of the events that show it.

    `grade` is that of a risk; a risk that was made contract keeps it.
    """

    verdict: Verdict
    rule: str  # e.g. "effect.repeated"; of a risk its name in `judges.risks.RISKS`
    message: str
    effect: str | None = None
    events: tuple[int, ...] = ()
    expected: str = ""
    seen: str = ""
    grade: RiskGrade | None = None
    schedule: str = ""  # of what makes a proof incomplete: the one under which it came up, if any
