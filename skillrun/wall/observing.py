"""Some schedules of a job in a clean checkout, for whoever compares two sides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skillrun.core.errors import SkillrunError
from skillrun.proof.history import History
from skillrun.proof.prove import observe
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.runner.inputs import build_case
from skillrun.runner.target import Request
from skillrun.skills.job_worker.skill import SKILL
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.proving import proof_target
from skillrun.wall.checkout import Checkout


def observe_job(
    checkout: Checkout, spec: str, said: Mapping[str, str], schedules: list[str]
) -> list[History] | None:
    """Their histories; None where the job cannot be run, which its own proof says. `said`: what the
    spec says besides.
    """
    from skillrun.contract.locate import bundled_skill

    request = Request(SKILL.name, checkout.root, overrides=dict(said))
    skill = bundled_skill(SKILL.name)
    assert skill is not None
    file = Path(checkout.root) / spec
    try:
        case = build_case(request, open_repo(checkout.root), Tree(checkout.root), skill, file)
        assert isinstance(case, JobCase)
        return observe(proof_target(case), schedules)
    except SkillrunError:
        return None
