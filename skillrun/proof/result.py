"""What a proof is of, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof.families.plan import Plan
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.log_answers import Answer
from skillrun.proof.reference import Reference
from skillrun.proof.sandbox.walls import Walls
from skillrun.proof.schedule import Schedule

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.proof.confirm.interface import Confirmed

RERUNS = 3

OnProgress = Callable[[str, int, int], None]
"""(what, done, of)."""


@dataclass(frozen=True)
class Tried:
    """One schedule, what happened, and what the judges say."""

    schedule: Schedule
    history: History
    judgements: tuple[Judgement, ...]

    def list_judgements(self, verdict: Verdict) -> list[Judgement]:
        """Those with one verdict."""
        return [judgement for judgement in self.judgements if judgement.verdict == verdict]


@dataclass(frozen=True)
class Witness:
    """A refutation or a risk, seen again when its schedule was run again."""

    tried: Tried
    judgement: Judgement
    again: int  # of RERUNS
    # Under which the same was seen; of a risk alone, which is told once.
    schedules: tuple[Schedule, ...] = ()
    # Of a risk: the names of others that have the same root and cost no more.
    also: tuple[str, ...] = ()

    @property
    def stable(self) -> bool:
        return self.again == RERUNS


@dataclass
class Proof:
    """All that a proof found."""

    verdict: Verdict
    tried: list[Tried] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    incomplete: list[Judgement] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    reference: Reference | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)
    facts: BootFacts = field(default_factory=BootFacts)
    modules: tuple[str, ...] = ()
    walls: Walls = field(default_factory=lambda: Walls("hooks"))
    duration_ms: int = 0
    varied: Tried | None = (
        None  # the payloads that are varied in the key fields: no schedule like the others
    )
    confirmed: list[Confirmed] | None = None  # None: nobody asked for a real worker
    # What no promise covers, the worst first: it changes no verdict.
    risks: list[Witness] = field(default_factory=list)
    unpromised: frozenset[str] = frozenset()  # as in Target
    # Of a job that was proved with several of its examples: each of these proofs, see examples.py.
    parts: tuple[Proof, ...] = ()

    @property
    def histories(self) -> list[History]:
        """What happened under each schedule; the varied payloads are not among them."""
        return [tried.history for tried in self.tried]


@dataclass(frozen=True)
class DoubtfulEffect:
    """An effect of a draft for which the proof has a stand-in, although it may be more than a way
    out of the application.

    `why` is what was read of it: "writes table orders (app/orders.py:7)".
    """

    name: str
    call: str
    why: str
    is_work: bool  # it does what the job is for; False: nobody could read what it does


@dataclass(frozen=True)
class Target:
    """What is proved: the spec, the repository, the driver (None: a plain callable) and the source
    roots.

    `contract`: the risks that the repository refuses, see `judges.risks`. `unpromised`: of a draft,
    the promises that nobody has made, see `judges.unpromised`. `acks_late`: what would be if the
    library acknowledged the job once it is done; only deaths are tried.
    """

    spec: JobSpec
    root: Path
    driver: str | None
    paths: tuple[str, ...] = ()
    contract: frozenset[str] = frozenset()
    unpromised: frozenset[str] = frozenset()
    # Of a draft: what a clock starts and may find a job that stands still.
    sweepers: tuple[str, ...] = ()
    doubtful: tuple[DoubtfulEffect, ...] = ()
    # Errors that a draft lists as permanent since the job was not tried again after one of them.
    guessed_errors: frozenset[str] = frozenset()
    acks_late: bool = False
