"""The job worker as one value: what a run asks of it, each part imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skillrun.contract.spec_format import SpecFormat, load_job_spec
from skillrun.contract.specfile import SPEC_FOLDER
from skillrun.proof.judges.risks import RISKS
from skillrun.runner.coded import (
    CodedSkill,
    Guide,
    Measured,
    Prover,
    Recommendation,
    Stage,
    Writer,
)
from skillrun.skills.job_worker.checks import CHECKS

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.core.verdict import StageResult
    from skillrun.repo.git import Repo
    from skillrun.repo.tree import Tree
    from skillrun.skills.job_worker.job_case import JobCase
    from skillrun.validations.consent import CommandPlan

_DECIDE = "decide the idempotency strategy in the spec"


def _open_case(skill: Skill, spec: Any, repo: Repo, tree: Tree) -> JobCase:
    from skillrun.skills.job_worker.job_case import JobCase

    return JobCase(skill, spec, repo, tree)


def _list_stages(skill: Skill) -> Sequence[Stage[JobCase]]:
    from skillrun.skills.job_worker.stages.registry import STAGES

    return STAGES


def _measure(measured: Measured) -> Mapping[str, Any]:
    from skillrun.skills.job_worker.telemetry import measure_job

    return measure_job(measured)


def _recommend(case: JobCase, results: Mapping[str, StageResult]) -> Iterable[Recommendation]:
    from skillrun.skills.job_worker.state_machine import recommend_mapper

    return recommend_mapper(case, results)


def _list_attestable(case: JobCase) -> Iterable[str]:
    from skillrun.skills.job_worker.readings.foreign import ATTESTED

    if case.language is None:
        return ()
    return ATTESTED


def _list_command_plans(case: JobCase) -> list[CommandPlan]:
    from skillrun.skills.job_worker.commands import list_command_plans

    return list_command_plans(case)


def _make_prover() -> Prover[JobCase]:
    from skillrun.skills.job_worker.proving import prover

    return prover


def _make_writer() -> Writer[JobCase]:
    from skillrun.skills.job_worker import writer

    return writer


def _make_guide() -> Guide[JobCase]:
    from skillrun.skills.job_worker import guide

    return guide


SKILL: CodedSkill[JobCase] = CodedSkill(
    name="job-worker-orchestration",
    stages=_list_stages,
    open_case=_open_case,
    checks=CHECKS,
    spec=SpecFormat(
        SPEC_FOLDER,
        load_job_spec,
        # Without a file there is no job: --set alone can give inputs, and nothing to build or prove.
        from_settings=None,
        title="job spec",
        how_to_write="write one with skillrun spec init --set",
        is_asked_for=True,
    ),
    measure=_measure,
    # The stage, and the check that rests on it.
    never_waived={"idempotency": _DECIDE, "idempotency-explicit": _DECIDE},
    list_attestable=_list_attestable,
    attested_by_people=("idempotency",),
    risks=tuple(RISKS),
    recommends=(
        "backend/domain-logic-module",
        "backend/integration-adapter",
        "backend/persistence-layer-change",
        "personalize-repo",
        "system/state-machine-mapper",
    ),
    recommend=_recommend,
    list_command_plans=_list_command_plans,
    prover=_make_prover,
    writer=_make_writer,
    guide=_make_guide,
)
