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


LETTERS = (
    (
        "shop/tasks.py",
        """    mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
""",
        """    send = mailer.send if order_id % 2 else mailer.post
    send(order_id, email, idempotency_key=f"receipt-{order_id}")
""",
    ),
    (
        "shop/mailer.py",
        "def send(",
        """def post(order_id: int, email: str, *, idempotency_key: str) -> None:
    raise Unavailable


def send(""",
    ),
    (
        ".skillrun/jobs/send-receipt.yaml",
        "failures:\n",
        """  - {name: letter, call: shop.mailer:post, key_arg: idempotency_key, guarantee: keyed}
failures:
""",
    ),
)


def test_another_example_is_repeated_as_a_job_of_its_own(tmp_path: Path) -> None:
    """Its deaths, too, where a job does one thing or another."""
    target = build_target(tmp_path, "celery_receipt", LETTERS)
    proof = prove(target)
    assert [part.verdict for part in proof.parts] == ["proved", "proved"]
    found = confirm(proof, target)
    assert [(one.schedule, one.note) for one in found if not one.agrees] == []
    texts = [one.schedule for one in found]
    assert any("letter#1 example=1" in text for text in texts)
    (again,) = confirm(proof, target, asked="kill@after:letter#1 example=1")
    assert again.agrees and again.real is not None
    assert [name for name, _ in again.real.performed] == ["letter", "letter"]


def test_a_receiver_is_away_for_one_delivery_alone(tmp_path: Path) -> None:
    """This library's worker runs the next one in the same process."""
    target = build_target(tmp_path, "django_q2_pass", ())
    proof = prove(target, only="refuse@before:code#1")
    (found,) = confirm(proof, target, asked="refuse@before:code#1")
    assert (found.agrees, found.note) == (True, "")
    assert found.simulated.outcomes == ("raised", "returned")
