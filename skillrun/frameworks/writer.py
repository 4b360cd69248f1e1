"""What writes the jobs of a library: its `scaffold.py` fits this, and its templates
lie beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from skillrun.frameworks.pieces import Facts, Piece, Render, Symbol
    from skillrun.repo.python import Project


class RunsNeed(Protocol):
    """The type of `JobWriter.runs_need`."""

    def __call__(self, facts: Facts, *, case: bool) -> Iterable[Symbol | str]: ...


class JobWriter(Protocol):
    """A framework's `scaffold.py`; its templates lie in `templates/` beside it."""

    TESTS: str  # what the tests' docstring says of how they run the job

    MESSAGE: str  # kwargs | payload: how a message reaches the handler where the spec does not say

    AWAITS: bool  # its handlers are coroutine functions, and so are the adapters that are still to be written

    def read(self, project: Project, facts: Facts) -> dict[str, Any]:
        """What its templates need to know beyond `Facts`; it becomes `facts.of_library`."""

    def problems(self, facts: Facts) -> Iterator[str]:
        """What the library cannot do of what the spec asks for, a sentence each."""

    def pieces(self, facts: Facts, render: Render) -> list[Piece]:
        """The handler, what its failures lead to, its publisher or schedule."""

    def runs_need(self, facts: Facts, *, case: bool) -> Iterable[Symbol | str]:
        """What `runs.jinja`, which runs the job in a test, imports beside the handler.

        `case`: the tests are a TestCase; the tick of a clock is tried by functions of pytest alone.
        """

    def broker_needs(self, facts: Facts) -> Iterable[Symbol | str] | None:
        """What `over_broker.jinja`, which has a real worker run the job, imports; None where there
        is no broker.
        """
