"""The shop of the stage tests and the bundled examples pass every stage that needs no command."""

from __future__ import annotations

import cases
import fixtures_repos
import pytest
from bundled import bundled_skill

from skillrun.contract.spec import load_spec
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase

CHEAP = (
    "identify",
    "contract",
    "idempotency",
    "handler",
    "retry",
    "dead-letter",
    "observability",
    "tests",
)


@pytest.mark.parametrize("stage", CHEAP)
def test_the_small_shop_passes(tmp_path, stage):
    """The stage tests reads, and waits with what it would run."""
    result = cases.examine(stage, cases.build(tmp_path / "repo"))
    wanted = "pending" if stage == "tests" else "passed"
    assert result.status == wanted, [(f.rule, f.message) for f in result.findings]


@pytest.mark.real
def test_the_bundled_example_passes(tmp_path):
    root = fixtures_repos.example_shop(tmp_path / "repo")
    case = JobCase(
        bundled_skill(), load_spec(root / cases.SPEC_PATH, root=root), open_repo(root), Tree(root)
    )
    said = {stage: cases.rules(cases.examine(stage, case)) for stage in CHEAP}
    assert said == {stage: [] for stage in CHEAP}


def test_every_stopping_finding_says_what_to_do(tmp_path):
    """With nothing but a name in the spec, each stage has a hint and a next action for whatever
    stops it.
    """
    case = cases.build(tmp_path / "repo", spec="version: 1\njob: send-receipt\n")
    for stage in CHEAP:
        result = cases.examine(stage, case)
        stopping = [f for f in result.findings if f.severity in ("blocker", "error")]
        assert all(f.hint for f in stopping), stage
        waits = stage in ("observability", "tests")  # for the handler, whose stage says what to do
        assert bool(result.next) == bool(stopping) or waits, stage
