"""The libraries with their real workers: what the drivers simulate is what happens."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from skillrun.contract.spec import load_spec
from skillrun.proof.confirm.compare import KILLS, confirm, confirm_one
from skillrun.proof.confirm.run import ENDS_APART, Stage, Watch, WorkerEnded
from skillrun.proof.observe import look
from skillrun.proof.orders import RECEIVER_WAYS
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target
from skillrun.proof.schedule import Schedule

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "corpus")]
import confirm_matrix  # noqa: E402
import run as corpus  # noqa: E402

pytestmark = pytest.mark.long
MUTANTS = (
    ("celery_receipt", "B02"),
    ("rq_invoice", "B02"),
    ("dramatiq_refund", "B02"),
    ("huey_shipment", "B02"),
    ("arq_confirmation", "D09"),
    ("procrastinate_reminder", "D02"),
    ("procrastinate_reminder", "D14"),
    ("django_q2_pass", "B01"),
    ("django_tasks_notice", "B01"),
    ("taskiq_parcel", "B02"),
    ("taskiq_parcel", "E10"),
)

Build = Callable[[str, str | None], Target]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def make(name: str, id_: str | None) -> Target:
        module = corpus.load(name)
        edited = next(
            (made for made in (*module.MUTANTS, *module.VARIANTS) if made.id == id_), None
        )
        root = corpus.build(name, edited, tmp_path.resolve() / name)
        spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
        return Target(spec, root, module.DRIVER)

    return make


def count_risks(proof: Proof) -> int:
    """Those of a store that fails, of a rival or of a receiver that is away: each is repeated,
    however many there are.
    """
    repeated = {"fail", "rival", *RECEIVER_WAYS}
    return len([risk for risk in proof.risks if risk.tried.schedule.does & repeated])


@pytest.mark.parametrize("name", confirm_matrix.SUBJECTS)
def test_simulated_and_real_are_the_same(name: str) -> None:
    for what, item in confirm_matrix.table(name, 0.2):
        assert item.agrees, f"{what}: {item.schedule}: {item.note}"


def test_a_lock_runs_out_in_a_wait_that_is_cut(build: Build) -> None:
    """It lives for longer than it takes until a dead worker's job comes back."""
    target = build("arq_confirmation", "fenced")
    proof = prove(target)
    found = confirm(proof, target)
    assert len(found) == KILLS + count_risks(proof)
    assert [(item.schedule, item.agrees, item.note) for item in found if not item.agrees] == []


@pytest.mark.parametrize(("name", "mutant"), MUTANTS)
def test_a_refutation_is_confirmed(name: str, mutant: str, build: Build) -> None:
    target = build(name, mutant)
    proof: Proof = prove(target)
    assert proof.verdict == "refuted"
    found = confirm(proof, target)
    assert len(found) == 1 + KILLS + count_risks(proof)
    tried = [item for item in found if item.note != ENDS_APART]
    assert len(tried) >= 1 + KILLS
    assert [(item.schedule, item.agrees, item.note) for item in tried if not item.agrees] == []


def test_a_worker_that_ended_by_itself_is_begun_once_more(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over its own housekeeping: that says nothing of the job. Twice is no chance."""
    target = build("celery_receipt", None)
    proof = prove(target, only="once")
    work, ended = Stage._work, [1]

    def work_or_end(stage: Stage, schedule: Schedule, more: Sequence[str]) -> Watch:
        if ended.pop():
            raise WorkerEnded("it ended by itself")
        return work(stage, schedule, more)

    monkeypatch.setattr(Stage, "_work", work_or_end)
    with Stage(target, redelivery_s=proof.facts.redelivery_s) as stage:
        for times, agrees in (([0, 1], True), ([1, 1], None)):
            ended[:] = times
            found = confirm_one(stage, proof.histories[0], 1.0, frozenset())
            assert found.agrees is agrees


RISKY = (
    ("celery_receipt", "fail@before:commit#1"),
    ("rq_invoice", "fail@before:commit#1"),
    ("celery_charge", "rival"),
)


@pytest.mark.parametrize(("name", "what"), RISKY)
def test_a_store_that_fails_and_a_rival_are_the_same_with_a_real_worker(
    name: str, what: str, build: Build
) -> None:
    target = build(name, None)
    only = what
    if what == "rival":
        planned = [str(one) for one in look(target).plan.schedules if one.family == "rival"]
        assert planned, "the corpus has rows that somebody else could change"
        only = planned[0]
    proof = prove(target, only=only)
    (tried,) = [one for one in proof.tried if str(one.schedule) == only]
    assert tried.history.list_met()
    redelivery_s = proof.facts.redelivery_s
    with Stage(target, redelivery_s=redelivery_s) as stage:
        found = confirm_one(stage, tried.history, redelivery_s, frozenset())
    assert (found.agrees, found.note) == (True, "")
