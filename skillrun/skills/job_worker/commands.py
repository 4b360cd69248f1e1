"""All code of the repository that the stages of a job would run, so that one question can show all
of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from skillrun.core.errors import SkillrunError
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.proving import proof_targets
from skillrun.skills.job_worker.readings.own_tests import noticing
from skillrun.skills.job_worker.readings.second_deliveries import plan_test
from skillrun.skills.job_worker.stages import validate
from skillrun.validations.consent import CommandPlan


def list_command_plans(case: JobCase) -> list[CommandPlan]:
    """The proof, the tests against a broken handler, and the validations, as far as they can be
    known now.
    """
    plans: list[CommandPlan] = []
    finders = (_find_proof_plans, _find_second_delivery, _find_test_plans, _find_validation_plans)
    for find in finders:
        # What cannot be read is said by its own stage, and then it does not run either.
        with contextlib.suppress(SkillrunError):
            plans += find(case)
    return plans


def _find_proof_plans(case: JobCase) -> Iterator[CommandPlan]:
    if case.spec is not None and case.spec.proof is not None:
        yield proof_targets.consent_plan(proof_targets.proof_target(case))


def _find_second_delivery(case: JobCase) -> Iterator[CommandPlan]:
    """The test that the spec of a job in another language names."""
    if case.spec is None or case.language is None or case.spec.idempotency is None:
        return
    if case.spec.idempotency.test is not None:
        yield plan_test(case.spec.idempotency.test)


def _find_test_plans(case: JobCase) -> Iterator[CommandPlan]:
    if case.spec is not None and case.handler is not None:
        yield noticing.plan(noticing.target_python(case, case.spec))


def _find_validation_plans(case: JobCase) -> Iterator[CommandPlan]:
    chosen, _ = validate.plan(case)
    if chosen:
        yield validate.consent_plan(chosen)
