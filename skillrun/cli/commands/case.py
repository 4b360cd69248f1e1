"""The job that a command is about, as the stages see it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.errors import Blocked

if TYPE_CHECKING:
    from skillrun.skills.job_worker.job_case import JobCase


def open_case(repo: Path, spec: Path | None, overrides: dict[str, str]) -> JobCase:
    """The job as the stages see it. Raises what is refused or misused, Blocked where there is no
    spec.
    """
    from skillrun.contract.locate import bundled_skill
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.inputs import build_case
    from skillrun.runner.target import Request, ledger_path, own_files, the_only_spec
    from skillrun.skills.job_worker.job_case import JobCase
    from skillrun.skills.job_worker.skill import SKILL

    opened = open_repo(repo)
    file = spec if spec is not None else the_only_spec(opened, SKILL.spec)
    if file is None:
        raise Blocked(
            "there is no job spec in .skillrun/jobs/",
            hint="none is needed for a job with tests: skillrun prove HANDLER (skillrun jobs names"
            " them); or write one with: skillrun spec init",
        )
    request = Request(SKILL.name, repo, overrides=overrides)
    tree = Tree(opened.root, without=own_files(opened, ledger_path(opened, None)))
    # The bundled text, whatever copy the repository or the home folder holds.
    skill_file = bundled_skill(SKILL.name)
    assert skill_file is not None
    case = build_case(request, opened, tree, skill_file, file)
    assert isinstance(case, JobCase)
    return case
