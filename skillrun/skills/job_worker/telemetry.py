"""What the telemetry says of a job: four columns of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skillrun.repo.places import is_taken_for_tests

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.runner.coded import Measured

_INTEGRATION = ("integration", "e2e", "functional", "end_to_end")


def measure_job(measured: Measured) -> dict[str, Any]:
    """The trigger, what makes the job idempotent, its retries, and the tests that were added."""
    spec: JobSpec | None = measured.spec
    return {
        "trigger": _name_trigger(spec),
        "idempotency": _name_strategy(spec),
        "retries": _name_retries(spec),
        "tests_added": _name_tests(measured.files),
    }


def _name_trigger(spec: JobSpec | None) -> str | None:
    if spec is None or spec.trigger is None:
        return None
    return spec.trigger.type


def _name_strategy(spec: JobSpec | None) -> str:
    if spec is None or spec.idempotency is None:
        return "unknown"
    return spec.idempotency.strategy or "unknown"


def _name_retries(spec: JobSpec | None) -> str | None:
    if spec is None or spec.retry is None:
        return None
    if spec.retry.kind == "none":
        return "none"
    return "bounded"


def _name_tests(files: Sequence[str] | None) -> str | None:
    """The strongest kind among the test files touched since the run began; None where that was not
    measured.
    """
    if files is None:
        return None
    tests = [path for path in files if is_taken_for_tests(path)]
    if not tests:
        return "none"
    for path in tests:
        if any(word in path.lower() for word in _INTEGRATION):
            return "integration"
    return "unit"
