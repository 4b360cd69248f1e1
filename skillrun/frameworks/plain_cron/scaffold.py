"""The job as a plain function, with a poller's loop or a cron line that looks for work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables import runner
from skillrun.frameworks.common.callables import scaffold as callables
from skillrun.frameworks.common.callables.runner import read as read
from skillrun.frameworks.common.callables.runner import tests_need as runs_need
from skillrun.frameworks.common.callables.scaffold import AWAITS as AWAITS
from skillrun.frameworks.common.callables.scaffold import MESSAGE as MESSAGE
from skillrun.frameworks.common.callables.scaffold import TESTS as TESTS
from skillrun.frameworks.common.callables.scaffold import broker_needs as broker_needs

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts, Piece, Render

__all__ = ["AWAITS", "MESSAGE", "TESTS", "broker_needs", "pieces", "problems", "read", "runs_need"]


def problems(facts: Facts) -> Iterator[str]:
    """What a plain function cannot do of what the spec asks for, a sentence each."""
    yield from callables.problems(facts)
    yield from runner.problems(facts)


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, the module that looks for work, and the line that starts it."""
    return [callables.handler(facts, render), *runner.pieces(facts, render, callables.does(facts))]
