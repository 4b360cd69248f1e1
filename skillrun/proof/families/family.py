"""What a family is: a name, a function that plans its schedules, and what it says
where it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from skillrun.proof.families.plan import MOST
from skillrun.proof.families.situation import Situation
from skillrun.proof.schedule import Schedule

Planned = tuple[Schedule, ...]
"""What the families before this one have planned."""

Planner = Callable[[Situation, Planned], Iterable[Schedule]]


@dataclass(frozen=True)
class Family:
    """`absent`: why it has no schedule. `unless`: a reason not to plan it for this job, or None.

    One name may have several: their schedules belong together in what is told.
    """

    name: str
    plan: Planner
    absent: str
    most: int = MOST
    unless: Callable[[Situation], str | None] | None = None


def family(
    name: str,
    absent: str,
    *,
    most: int = MOST,
    unless: Callable[[Situation], str | None] | None = None,
) -> Callable[[Planner], Family]:
    """Makes a family of a function that plans schedules; `registry.py` lists it."""

    def make(plan: Planner) -> Family:
        return Family(name, plan, absent, most, unless)

    return make
