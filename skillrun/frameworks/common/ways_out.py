"""Where an error that the spec names leaves a handler, or is taken on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from skillrun.frameworks.common.again import find_taking_clause
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import effect_calls, spec_name
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call, Handler
from skillrun.repo.uses import Place


@dataclass(frozen=True)
class WayOut:
    """An effect's call that raises an error, and the clause that takes it; None where it leaves
    the handler from there.
    """

    error: str  # as the spec has it
    bases: frozenset[str]
    call: Call
    clause: Handler | None

    @property
    def place(self) -> Place:
        """Of the clause, else of the call."""
        if self.clause is not None:
            return place_of(self.clause.module, self.clause.node)
        return place_of(self.call.module, self.call.node)


def find_ways_out(
    job: Job, kind: Literal["transient", "permanent"], is_wrong: Callable[[WayOut], bool]
) -> Iterator[WayOut]:
    """The first wrong one of each error of a kind: the others have the same cause."""
    for error in job.spec.list_errors(kind):
        bases = ancestors(job.project, short(spec_name(job, error)))
        for call in effect_calls(job):
            way = WayOut(error, bases, call, find_taking_clause(call, bases))
            if is_wrong(way):
                yield way
                break
