"""What `verify` says about a ledger: its problems, the anchors that hold, and what no look at the
file can find.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_TRUTH = "The chain shows that rows are as they were written, not that what they say is true."
_NO_ANCHOR = (
    "No anchor was found: a cut tail, a removed run and a whole rewrite could not have been seen. "
    "skillrun ledger anchor publishes the heads."
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    `kind`: altered, missing and schema break integrity; missing and open (an unfinished invocation)
    completeness.
    """

    run_id: str | None  # None: of the file
    table: str
    n: int | None  # number of the event; of the invocation where the table is telemetry
    what: str
    kind: str = "altered"


@dataclass(frozen=True)
class RunAnchor:
    """Up to which event a run is held by anchors outside the file; `anchored_n` 0: by none.

    `archive` is the file that the run was moved to, with its last event as `last_n`.
    """

    run_id: str
    last_n: int
    anchored_n: int
    places: tuple[str, ...]
    archive: str | None = None


@dataclass(frozen=True)
class VerifyReport:
    """What a ledger is worth; `limits` says in sentences what could not have been found, `notes`
    what else was seen.
    """

    path: Path
    integrity: str  # whole | broken
    completeness: str  # complete | incomplete
    problems: tuple[Problem, ...]
    runs: int
    events: int
    anchors: tuple[RunAnchor, ...] = ()
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


def limits_of(anchors: tuple[RunAnchor, ...]) -> tuple[str, ...]:
    """What could not have been found with these anchors, a sentence each."""
    if not any(anchor.anchored_n for anchor in anchors):
        return (_NO_ANCHOR, _TRUTH)
    behind = sum(anchor.anchored_n < anchor.last_n for anchor in anchors)
    if not behind:
        return (_TRUTH,)
    runs = "1 run is"
    if behind != 1:
        runs = f"{behind} runs are"
    after = (
        f"{runs} not anchored up to the last event: a cut or a rewrite after the anchor could not"
        " have been seen."
    )
    return (after, _TRUTH)
