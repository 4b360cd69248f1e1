"""Two jobs in a queue at once, and receivers that are away: a real worker does what was simulated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from skillrun.contract.spec import load_spec
from skillrun.proof.confirm.compare import confirm, confirm_one
from skillrun.proof.confirm.run import Stage
from skillrun.proof.prove import prove
from skillrun.proof.result import Target

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "corpus")]
import run  # noqa: E402
from run import Mutant  # noqa: E402
from test_queued_together import CASES  # noqa: E402

pytestmark = pytest.mark.long


def build_target(folder: Path, name: str, edits: tuple[tuple[str, str, str], ...]) -> Target:
    root = run.build(name, Mutant("H", "", edits), folder.resolve() / name)
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    return Target(spec, root, run.load(name).DRIVER)


@pytest.mark.parametrize(("place", "new", "verdict"), CASES)
def test_two_jobs_that_share_a_lock_or_an_id(
    tmp_path: Path, place: tuple[str, str, str], new: str, verdict: str
) -> None:
    name, file, old = place
    target = build_target(tmp_path, name, ((file, old, new),))
    proof = prove(target, only="called=0,1")
    assert proof.verdict == verdict
    (found,) = confirm(proof, target, asked="called=0,1")
    assert (found.agrees, found.note) == (True, "")


@pytest.mark.parametrize("name", ["celery_receipt", "celery_charge", "dramatiq_refund"])
def test_two_jobs_that_share_nothing(tmp_path: Path, name: str) -> None:
    target = build_target(tmp_path, name, ())
    proof = prove(target, only="called=0,1")
    (found,) = confirm(proof, target, asked="called=0,1")
    assert (found.agrees, found.note) == (True, "")
    assert len(found.simulated.outcomes) == 2


def test_a_worker_that_drops_what_was_simulated_as_done_differs(tmp_path: Path) -> None:
    """The judge of this test is seen to fail: what was simulated is of a job without the lock."""
    name, file, old = CASES[0][0]
    proof = prove(build_target(tmp_path / "free", name, ()), only="called=0,1")
    shared = build_target(tmp_path / "shared", name, ((file, old, CASES[1][1]),))
    history = next(one for one in proof.histories if one.schedule.called == (0, 1))
    with Stage(shared, redelivery_s=proof.facts.redelivery_s) as stage:
        found = confirm_one(stage, history, proof.facts.redelivery_s, frozenset())
    assert "deliveries" in found.differs
