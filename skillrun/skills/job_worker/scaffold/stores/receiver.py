"""No memory of the job's own: the receiver drops a repeated key, and only dead letters may be
kept.
"""

from __future__ import annotations

from skillrun.frameworks.pieces import Facts, Piece, Render
from skillrun.skills.job_worker.scaffold.stores.testing import Testing


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """None: there is no `once`, and whoever keeps dead letters has a store of its own for them."""
    return []


def testing(facts: Facts) -> Testing:
    """Nothing."""
    return Testing()
