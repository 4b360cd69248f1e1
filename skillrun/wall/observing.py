"""Some schedules of a job in a clean checkout, for whoever compares two sides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from skillrun.core.errors import Blocked
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.history import History
from skillrun.proof.observe import Published, observe, observe_publishers, observe_worlds
from skillrun.proof.result import Target
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing
from skillrun.proof.state import StateError
from skillrun.proof.zygote import BootFailed
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.runner.inputs import build_case
from skillrun.runner.target import Request
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.proving.proof_targets import proof_target
from skillrun.skills.job_worker.skill import SKILL
from skillrun.wall.checkout import Checkout
from skillrun.wall.empty_secrets import give_secrets


def observe_job(
    checkout: Checkout, spec: str, said: Mapping[str, str], schedules: list[str]
) -> list[History]:
    """Their histories. `said`: what the spec says besides. Raises SkillrunError where the job
    cannot be run.
    """
    with _say_why():
        return observe(give_secrets(find_target(checkout, spec, said)), schedules)


def observe_job_in_worlds(
    checkout: Checkout, spec: str, said: Mapping[str, str]
) -> dict[str, list[History]]:
    """World -> its histories, see `observe_worlds`. Raises SkillrunError as `observe_job` does."""
    with _say_why():
        return observe_worlds(give_secrets(find_target(checkout, spec, said)))


def observe_publishers_of(
    checkout: Checkout, spec: str, said: Mapping[str, str], calls: list[str]
) -> dict[str, list[Published]]:
    """Call -> what it publishes, see `observe_publishers`. Raises SkillrunError as `observe_job`
    does.
    """
    with _say_why():
        return observe_publishers(give_secrets(find_target(checkout, spec, said)), calls)


@contextlib.contextmanager
def _say_why() -> Iterator[None]:
    """What a repository or this machine does wrong is one error, with its line."""
    try:
        yield
    except NotPublished as error:
        raise Blocked(error.why) from error
    except (BootFailed, ServiceMissing, ServiceFailed, StateError) as error:
        raise Blocked(str(error)) from error


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
