"""All that a run reads before it writes anything, and the one place where its case is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.contract.skill import load_skill
from skillrun.core.actor import who
from skillrun.core.errors import Misuse
from skillrun.repo.git import Repo, run_git
from skillrun.repo.profile import load_profile
from skillrun.repo.tree import Tree
from skillrun.runner.coded import CodedSkill
from skillrun.runner.conclude import assign_checks
from skillrun.runner.declared import DeclaredStage
from skillrun.runner.options import (
    check_attesting_actor,
    check_contract_risks,
    check_spec_waivers,
    check_waivers,
    check_waiving_actor,
    new_attestations,
)
from skillrun.runner.planned import Planned, match_stages
from skillrun.runner.plugins import refuse_rivals, skill_code
from skillrun.runner.target import NO_JOB, Request, RunTarget
from skillrun.validations.consent import Consent

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.contract.specfile import Spec
    from skillrun.core.verdict import Finding
    from skillrun.runner.case import Attestation, Case
    from skillrun.runner.repeat import FoundInputs


def build_case(
    request: Request, repo: Repo, tree: Tree, skill_file: Path, spec_file: Path | None
) -> Case:
    """The case of a request: its skill and its spec, read, as the code of the skill opens one.

    Raises what is refused: a skill, a plug-in or a spec that cannot be used.
    """
    skill = load_skill(skill_file)
    code = skill_code(skill.name)
    refuse_rivals(skill.name)
    spec = _read_spec(code, request, spec_file, repo.root)
    case: Case = code.open_case(skill, spec, repo, tree)
    return case


def _read_spec(
    code: CodedSkill[Any], request: Request, file: Path | None, root: Path
) -> Spec | None:
    """The spec with --set in it; without a file, one of --set alone for a skill that needs only
    inputs.
    """
    if file is not None:
        return code.spec.load(file, request.overrides, root)
    if not request.overrides:
        return None
    if code.spec.from_settings is None:
        said = f"--set: there is no {code.spec.title} here to set anything in"
        raise Misuse(said, hint=code.spec.how_to_write)
    return code.spec.from_settings(request.overrides)


@dataclass
class Inputs:
    """All that can be refused, read before anything is written."""

    case: Case
    code: CodedSkill[Any]
    job: str
    planned: tuple[Planned, ...]
    missing_steps: tuple[Finding, ...]
    attested: Mapping[str, Attestation]  # on this command line

    @classmethod
    def read(cls, found: FoundInputs) -> Inputs:
        """Raises what is refused, and Misuse for options that name what is not there."""
        request, target = found.request, found.target
        case = build_case(request, target.repo, found.tree, target.skill_file, target.spec_file)
        skill, spec = case.skill, case.spec
        code = skill_code(skill.name)
        # One that cannot be read is refused here.
        profile = load_profile(target.repo.root)
        if profile is not None:
            check_contract_risks(profile, code.risks)
        # Never by the profile: an agent can edit it, and a clone brings it along.
        consent = Consent(target.repo).read()
        allowed = consent.agent_waivers
        check_waiving_actor(request, who(), allowed)
        if spec is not None and spec.waivers:
            check_spec_waivers(spec, _read_committed(target), who(), allowed)
        planned, missing = match_stages(skill)
        attestable = _list_attestable(skill, planned) | set(code.list_attestable(case))
        check_attesting_actor(request, who(), code.attested_by_people, consent.scripts)
        known = {*_list_waivable(code, planned), *attestable}
        check_waivers(request.waive, known, "--waive", code.never_waived)
        given = {}
        if spec:
            for waiver in spec.waivers:
                given[waiver.item] = waiver.reason
        check_waivers(given, known, target.spec_name or "spec", code.never_waived)
        _check_until(request.until, planned)
        job = NO_JOB
        if spec is not None and (target.spec_file or "job" in request.overrides):
            job = spec.job
        attested = new_attestations(request, found.tree, attestable)
        return cls(case, code, job, planned, missing, attested)

    @property
    def skill(self) -> Skill:
        return self.case.skill

    @property
    def spec(self) -> Spec | None:
        return self.case.spec

    @property
    def identity(self) -> tuple[str, str]:
        """What makes a run the same one, within a repository."""
        return self.skill.id, self.job


def _list_waivable(code: CodedSkill[Any], planned: Iterable[Planned]) -> set[str]:
    """The stages, the checks, the risks that a proof may find, and the other skills that the code
    may recommend.
    """
    stages = {one.stage.ID for one in planned}
    checks = {rule.id for rule in code.checks}
    return {*stages, *checks, *code.recommends, *code.risks}


def _list_attestable(skill: Skill, planned: tuple[Planned, ...]) -> set[str]:
    """The steps and checks that no code answers to."""
    stages = [one.stage for one in planned]
    answers = []
    for _, _, answer in assign_checks(skill, {stage.ID for stage in stages}):
        answers.append(answer)
    found = set()
    for one in (*stages, *answers):
        if isinstance(one, DeclaredStage):
            found.add(one.ID)
    return found


def _read_committed(target: RunTarget) -> bytes | None:
    """The spec's text in HEAD; None where it is not there."""
    if target.spec_name is None or target.repo.head is None:
        return None
    done = run_git(target.repo.root, "cat-file", "blob", f"HEAD:{target.spec_name}")
    if done.returncode != 0:
        return None
    return done.stdout


def _check_until(until: str | None, planned: tuple[Planned, ...]) -> None:
    ids = [one.stage.ID for one in planned]
    if until is not None and until not in ids:
        raise Misuse(f"--until {until}: no such stage", hint=f"the stages are: {', '.join(ids)}")
