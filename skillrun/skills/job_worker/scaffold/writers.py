"""Who writes the job of each framework: the `scaffold.py` of its package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from skillrun.frameworks.pieces import Facts, Piece, Render, Symbol
from skillrun.skills.job_worker.scaffold.render import Renderer

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.uses import FrameworkUse


class RunsNeed(Protocol):
    """The type of `JobWriter.runs_need`."""

    def __call__(self, facts: Facts, *, case: bool) -> Iterable[Symbol | str]: ...


class JobWriter(Protocol):
    """A framework's `scaffold.py`; its templates lie in `templates/` beside it."""

    TESTS: str  # what the tests' docstring says of how they run the job

    MESSAGE: str  # kwargs | payload: how a message reaches the handler where the spec does not say

    AWAITS: bool  # its handlers are coroutine functions, and so are the adapters that are still to be written

    def read(self, project: Project, facts: Facts) -> dict[str, Any]:
        """What its templates need to know beyond `Facts`; it becomes `facts.facts`."""

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


def has_writer(framework: str) -> bool:
    """Whether jobs of a framework can be written."""
    from skillrun.frameworks.registry import FRAMEWORKS

    return framework in FRAMEWORKS and find_spec(_module(framework)) is not None


def writer_of(framework: str) -> JobWriter:
    """The writer of a framework's jobs."""
    return cast("JobWriter", import_module(_module(framework)))


def awaits(project: Project, use: FrameworkUse, handler: str) -> bool:
    """Whether a handler, "module:name", is a coroutine function: as the library wants, or as the
    repository's others.

    A library that takes both has a function `awaits` of the same arguments beside its `AWAITS`.
    """
    writer = writer_of(use.id)
    as_others: Callable[[Project, FrameworkUse, str], bool] | None = getattr(writer, "awaits", None)
    return writer.AWAITS if as_others is None else as_others(project, use, handler)


def renderer_of(framework: str) -> Renderer:
    """Renders the templates of a framework."""
    return Renderer(Path(import_module(_module(framework)).__file__ or "").parent / "templates")


def _module(framework: str) -> str:
    return f"skillrun.frameworks.{framework.replace('-', '_')}.scaffold"
