"""A case: one skill, one spec and one repository, as the stages of any skill see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from skillrun.core.verdict import Action, StageResult, Status
from skillrun.runner.findings import blocker

if TYPE_CHECKING:
    from pathlib import Path

    from skillrun.contract.skill import Skill
    from skillrun.contract.specfile import Spec
    from skillrun.repo.git import Repo
    from skillrun.repo.profile import Profile
    from skillrun.repo.tree import Lookups, Tree
    from skillrun.validations.consent import CommandPlan

T = TypeVar("T")


@dataclass(frozen=True)
class Attestation:
    """Somebody's word for a declared step: the statement, and the files or the command that show
    it.
    """

    step: str
    statement: str
    evidence: Mapping[str, str]  # path -> sha256 when it was attested
    actor: str
    actor_kind: str


AskConsent = Callable[["CommandPlan"], bool]
"""True where the plan may run. A person is asked at most once; see `validations.consent.Gate`."""


def record_nothing(sha: str) -> bool:
    """No ledger is at hand."""
    return False


def no_consent(plan: CommandPlan) -> bool:
    """Nobody agreed."""
    return False


@dataclass
class Case:
    """One skill, one spec and one repository. A coded skill that works out more has a subclass.

    What is worked out once is kept together with the look-ups that it took, so that each stage
    which uses it depends on the same files.
    """

    skill: Skill
    spec: Spec | None
    repo: Repo
    tree: Tree
    attestations: Mapping[str, Attestation] = field(default_factory=dict)
    consent: AskConsent = no_consent
    # Whether the ledger says that a proof was kept, by its sha256.
    is_recorded: Callable[[str], bool] = record_nothing
    # The stages before have nothing open: a stage may begin what costs time.
    clean: bool = False
    on_output: Callable[[str], None] | None = None
    _kept: dict[str, tuple[Any, Lookups]] = field(default_factory=dict)

    def once(self, name: str, work: Callable[[], T]) -> T:
        """The result of `work`, done the first time; its look-ups are recorded every time."""
        if name not in self._kept:
            with self.tree.recording() as lookups:
                value = work()
            self._kept[name] = (value, lookups)
        value, lookups = self._kept[name]
        self.tree.record(lookups)
        return value

    @property
    def root(self) -> Path:
        return self.repo.root

    @property
    def profile(self) -> Profile | None:
        """REPO_PROFILE.json, or None. Raises `ProfileInvalid`."""

        def work() -> Profile | None:
            from skillrun.repo.profile import load_profile

            self.tree.read("REPO_PROFILE.json")
            profile = load_profile(self.root)
            if profile is not None and profile.policy is not None:
                self.tree.read(profile.policy.file)
            return profile

        return self.once("profile", work)

    def section(self, name: str) -> tuple[Any, tuple[str, ...]]:
        """(JSON value, files it came from) of a fact that a stage recorded with `tree.fact`.

        Whether such a stage is stale is found by asking again: a skill whose stages record facts
        overrides this.
        """
        raise ValueError(f"no such fact: {name}")


def wait_for_consent(
    stage: str, plan: CommandPlan, to_do: str, read: StageResult | None = None
) -> StageResult:
    """The result of a stage that may not run its commands yet: it is blocked, and says how a person
    agrees.

    `to_do`: what the stage does with the commands, after "not allowed yet to". `read`: what it has
    found without them.
    """
    commands = "; ".join(plan.shown)
    finding = blocker(f"{stage}.no-consent", f"not allowed yet to {to_do}: {commands}", hint=AGREE)
    detail = f"a person reads these commands and runs again with --trust: {commands}"
    known = read or StageResult(Status.BLOCKED, None)
    summary = "waiting for consent"
    if known.summary:
        summary = f"{known.summary}; {summary}"
    return StageResult(
        Status.BLOCKED,
        known.grade,
        (*known.findings, finding),
        known.evidence,
        (Action(stage, "consent", detail),),
        summary,
        {**known.facts, "settled": False},
    )


AGREE = "read them, then answer yes on a terminal, or run again with --trust"
"""How a person allows what was shown."""
