"""Some schedules of a job in a clean checkout, for whoever compares two sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skillrun.core.errors import SkillrunError
from skillrun.proof.history import History
from skillrun.proof.prove import observe
from skillrun.proof.result import Target
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.runner.inputs import build_case
from skillrun.runner.target import Request
from skillrun.skills.job_worker.skill import SKILL
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.proof_targets import proof_target
from skillrun.wall.checkout import Checkout


def observe_job(
    checkout: Checkout, spec: str, said: Mapping[str, str], schedules: list[str]
) -> list[History] | None:
    """Their histories; None where the job cannot be run, which its own proof says. `said`: what the
    spec says besides.
    """
    try:
        return observe(find_target(checkout, spec, said), schedules)
    except SkillrunError:
        return None


def find_target(checkout: Checkout, spec: str, said: Mapping[str, str]) -> Target:
    """What a proof of a spec is of. Raises SkillrunError where there is none."""
    from skillrun.contract.locate import bundled_skill

    request = Request(SKILL.name, checkout.root, overrides=dict(said))
    skill = bundled_skill(SKILL.name)
    assert skill is not None
    file = Path(checkout.root) / spec
    case = build_case(request, open_repo(checkout.root), Tree(checkout.root), skill, file)
    assert isinstance(case, JobCase)
    return proof_target(case)
