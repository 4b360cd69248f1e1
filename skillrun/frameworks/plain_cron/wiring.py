"""Who starts a plain callable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.callers import reach_of
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.interface import (
    Send,
)
from skillrun.repo.uses import FrameworkUse

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that starts or schedules the handler, in order of path and line."""
    found: dict[tuple[str, int, str], Send] = {}
    for wiring in starting(project, reach_of(project, handler)):
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))
