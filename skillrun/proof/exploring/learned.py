"""What one explorer of a proof has learned of its job, for all of them: whoever does not know it
runs another proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.history import History
from skillrun.proof.rivals import Contents, Rival
from skillrun.proof.undone import Undone


@dataclass(frozen=True)
class Learned:
    """Nothing of it changes once schedules run side by side."""

    once: History | None = None  # the single run, as soon as there is one
    # What the state queries answer before anything is delivered.
    before: Mapping[str, Any] = field(default_factory=dict)
    # Call of the single run -> what it is about, where one run does several things.
    items: Mapping[str, str] = field(default_factory=dict)
    # Table that is written and that no state query reads -> a query of all of it.
    unread: Mapping[str, str] = field(default_factory=dict)
    rivals: Mapping[str, Rival] = field(default_factory=dict)  # by their texts
    contents_after: Contents = field(default_factory=dict)  # all rows after a single run
    undone: tuple[Undone, ...] = ()  # what the application's call finds undone
    given: Mapping[str, str] = field(default_factory=dict)  # effect -> a secret it is called with
    secrets: tuple[str, ...] = ()  # that stand in its rows before anything is delivered
