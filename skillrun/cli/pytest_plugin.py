"""The plug-in of pytest: its options and its mark. Whoever does not ask for a proof pays for this
module alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# Set for whatever skillrun itself runs: its proof watches the tests, and they must not prove again.
NESTED = "SKILLRUN_NESTED"
_MARK = (
    "job(handler, **fields): this test is one of the job's own; key=... and any other field of"
    " its spec say what `pytest --prove` would else have to guess"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --prove and what goes with it."""
    group = parser.getgroup("skillrun", "proof of background jobs")
    group.addoption(
        "--prove",
        action="store_true",
        help="Behind the tests, prove each job that they reach: by its spec, else from its tests.",
    )
    group.addoption(
        "--prove-job",
        action="append",
        default=[],
        metavar="HANDLER",
        help="Prove this job alone, e.g. shop.tasks:charge; may be given several times.",
    )
    group.addoption(
        "--prove-schedule",
        metavar="SCHEDULE",
        help="Run one schedule of faults again and tell its story; no test runs.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Names the mark; loads the rest where a proof is asked for."""
    config.addinivalue_line("markers", _MARK)
    option = config.option
    if not (option.prove or option.prove_job or option.prove_schedule):
        return
    if NESTED in os.environ:
        return
    from skillrun.cli.proving_tests.job_session import JobSession

    config.pluginmanager.register(JobSession(config), "skillrun-jobs")
