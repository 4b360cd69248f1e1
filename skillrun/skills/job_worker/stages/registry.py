"""The stages of the job worker, in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.skills.job_worker.stages import (
    contract,
    dead_letter,
    handler,
    idempotency,
    identify,
    observability,
    retry,
    tests,
    validate,
)

if TYPE_CHECKING:
    from skillrun.runner.coded import Stage
    from skillrun.skills.job_worker.job_case import JobCase

STAGES: tuple[Stage[JobCase], ...] = (
    identify,
    contract,
    idempotency,
    handler,
    retry,
    dead_letter,
    observability,
    tests,
    validate,
)
