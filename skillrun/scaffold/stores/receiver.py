"""No memory of the job's own: the receiver drops a repeated key, and only dead letters may be kept."""

from __future__ import annotations

from skillrun.frameworks.pieces import Facts, Piece, Render
from skillrun.scaffold.stores.letters import letters


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The module of `bury` and its table, where dead letters are kept in one; there is no `once`."""
    return letters(facts, render)
