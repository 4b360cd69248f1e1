"""Who looks on while a run advances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from skillrun.validations.consent import CommandPlan, Question


class Watcher(Protocol):
    """Who looks on while a run advances, and who is asked."""

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        """The run is known; these stages (id, title) follow."""

    def stage_begins(self, stage: str) -> None: ...

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        """A stage of the report."""

    def output(self, line: str) -> None:
        """A line that a running command printed, masked and safe to show."""

    def waits(self, holder: str) -> None:
        """Another invocation of the same run is at work."""

    def may_run(self, question: Question) -> str | None:
        """Asks a person; the means by which the answer was yes, or None."""

    def runs(self, plan: CommandPlan) -> None:
        """Code of the repository runs now, which somebody has allowed."""
