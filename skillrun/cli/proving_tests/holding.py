"""For a test that `prove --pytest` writes of a job without a spec: one schedule of faults, which the
job must stand.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from skillrun.cli.proving_tests.asking import ask_for_proof
from skillrun.cli.pytest_plugin import NESTED
from skillrun.proof.judgement import HOLDS, Verdict


def assert_job_holds(handler: str, schedule: str | None = None, *, root: str | Path = ".") -> None:
    """Drafts the job from the tests of the repository at `root`, and runs it under one schedule
    (None: under all of them). AssertionError, with the story, where it is not proved.
    """
    if NESTED in os.environ:
        # The draft watches these tests: this one would draft it again.
        pytest.skip("skillrun runs these tests itself")
    request: dict[str, Any] = {
        "handler": handler,
        "spec": None,
        "root": str(root),
        "said": {},
        "schedule": schedule,
        "typed": f"pytest --prove-job {handler}",
        "is_verbose": False,
    }
    answer = ask_for_proof(request)
    if answer.word not in (Verdict.PROVED, HOLDS):
        story = answer.story or (answer.says,)
        raise AssertionError("\n".join((f"{answer.word}: {handler}", *story)))
