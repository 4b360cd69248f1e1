"""Who writes the job of each framework: the `scaffold.py` of its package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import skillrun.frameworks
from skillrun.frameworks.registry import FRAMEWORKS
from skillrun.skills.job_worker.scaffold.render import Renderer

if TYPE_CHECKING:
    from skillrun.frameworks.writer import JobWriter
    from skillrun.repo.python import Project
    from skillrun.repo.uses import FrameworkUse


def has_writer(framework: str) -> bool:
    """Whether jobs of a framework can be written."""
    return framework in FRAMEWORKS


def writer_of(framework: str) -> JobWriter:
    """The writer of a framework's jobs."""
    return FRAMEWORKS[framework].load_writer()


def awaits(project: Project, use: FrameworkUse, handler: str) -> bool:
    """Whether a handler, "module:name", is a coroutine function: as the library wants, or as the
    repository's others.

    A library that takes both has a function `awaits` of the same arguments beside its `AWAITS`.
    """
    writer = writer_of(use.id)
    as_others: Callable[[Project, FrameworkUse, str], bool] | None = getattr(writer, "awaits", None)
    if as_others is None:
        return writer.AWAITS
    return as_others(project, use, handler)


def renderer_of(framework: str) -> Renderer:
    """Renders the templates of a framework."""
    folder = Path(skillrun.frameworks.__file__).parent / framework.replace("-", "_")
    return Renderer(folder / "templates")
