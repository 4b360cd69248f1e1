"""No memory of the job's own: the receiver drops a repeated key, and only dead letters may be
kept.
"""

from __future__ import annotations

from skillrun.frameworks.pieces import Facts, Piece, Render
from skillrun.skills.job_worker.scaffold.stores import letters
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The module of `bury` and its table, where dead letters are kept in one; there is no
    `once`.
    """
    return letters.letters(facts, render)


def testing(facts: Facts) -> Testing:
    """Of the dead letters alone."""
    return letters.testing(facts)
