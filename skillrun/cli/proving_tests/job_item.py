"""A job among the tests of a session: proved it passes, refuted it fails with its story, and is
skipped where the proof gives no answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from skillrun.cli.proving_tests.asking import ListedJob, ask_for_proof
from skillrun.proof.judgement import Verdict

PROPERTY = "skillrun_"  # how the properties of a report begin
_STATES = {Verdict.REFUTED: "failed", Verdict.INCOMPLETE: "skipped", "blocked": "skipped"}


class RefutedError(Exception):
    """A story of how the job fails."""


class ProvedJob(pytest.Item):
    """One job, behind the tests that reach it."""

    def __init__(
        self, *, job: ListedJob, root: str, request: Mapping[str, Any], **given: Any
    ) -> None:
        super().__init__(**given)
        self.job = job
        self.root = root
        self.request = request

    def runtest(self) -> None:
        """Proves it. Raises what pytest shows: a story, a reason, or one line of misuse."""
        fields = {"handler": self.job.handler, "spec": self.job.spec, "root": self.root}
        answer = ask_for_proof({**fields, **self.request})
        told = {"job": self.job.handler, "verdict": answer.word, "says": answer.says}
        told["story"] = json.dumps(answer.story)
        told["notes"] = json.dumps(answer.notes)
        for name, value in told.items():
            self.user_properties.append((f"{PROPERTY}{name}", value))
        if _STATES.get(answer.word) == "failed":
            raise RefutedError("\n".join(answer.story))
        if answer.word == "known":
            pytest.xfail(answer.says)
        if answer.word in _STATES:
            pytest.skip(f"{answer.word}: {answer.says}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Its story, and no traceback: nobody's Python has failed."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where pytest says that it stands."""
        module = self.job.handler.partition(":")[0]
        return Path(self.root, *module.split(".")).with_suffix(".py"), None, self.name


def add_job(
    parent: pytest.Collector | pytest.Session,
    job: ListedJob,
    root: str,
    request: Mapping[str, Any],
) -> ProvedJob:
    """The item of one job, in the module of the first test that reaches it."""
    name = f"prove[{job.handler}]"
    item: ProvedJob = ProvedJob.from_parent(parent, name=name, job=job, root=root, request=request)
    if item.config.pluginmanager.hasplugin("timeout"):
        # A proof takes longer than a test may.
        item.add_marker(pytest.mark.timeout(0))
    return item
