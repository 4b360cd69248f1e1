"""Operational notes where the repository keeps such notes; else the handler's docstring has
them.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.contract.duration import format_duration
from skillrun.frameworks.pieces import Facts, Piece, Section
from skillrun.skills.job_worker.scaffold.render import Renderer
from skillrun.skills.job_worker.scaffold.words import dead, guarantee, retrying


def notes(facts: Facts, render: Renderer) -> Iterator[Piece]:
    """A section of the repository's notes; nothing where it keeps none."""
    if facts.conventions.notes is None:
        return
    window = ""
    if facts.store.window_s:
        window = format_duration(facts.store.window_s)
    text = render(
        "notes.md.jinja",
        facts,
        guarantee=guarantee(facts),
        retrying=retrying(facts),
        dead=dead(facts),
        window=window,
    )
    yield Section(facts.conventions.notes, f"## {facts.job}", text)
