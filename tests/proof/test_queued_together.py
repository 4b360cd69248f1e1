"""Two distinct jobs are published before one is delivered: what they share in the queue drops one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.spec import load_spec
from skillrun.core.errors import Misuse
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real  # a library's own queue in each

ARQ = ("arq_confirmation", "booking/desk.py", '"confirm", booking_id, email)')
SAQ = ("saq_ticket", "museum/desk.py", "retries=RETRIES, timeout=60)")
RQ = ("rq_invoice", "billing/invoices.py", "        cents=cents,\n")
PROCRASTINATE = (
    "procrastinate_reminder",
    "clinic/desk.py",
    "        remind.defer(appointment_id=appointment_id, phone=phone)\n",
)
WITH_LOCK = """\
        try:
            remind.configure(queueing_lock=str({0})).defer(appointment_id=appointment_id, phone=phone)
        except Exception:
            {1}
"""
CASES = [
    (ARQ, '"confirm", booking_id, email, _job_id=f"confirm-{booking_id}")', "proved"),
    (ARQ, '"confirm", booking_id, email, _job_id=f"confirm-{email}")', "refuted"),
    (SAQ, 'retries=RETRIES, timeout=60, key=f"ticket-{sale_id}")', "proved"),
    (SAQ, 'retries=RETRIES, timeout=60, key=f"ticket-{email}")', "refuted"),
    (RQ, '        cents=cents,\n        job_id=f"book-{invoice_id}",\n', "proved"),
    (RQ, '        cents=cents,\n        job_id=f"book-{cents}",\n', "refuted"),
    (PROCRASTINATE, WITH_LOCK.format("appointment_id", "pass"), "proved"),
    (PROCRASTINATE, WITH_LOCK.format("phone", "pass"), "refuted"),
    # Who calls is told, and calls again once the other one is done.
    (PROCRASTINATE, WITH_LOCK.format("phone", "raise"), "proved"),
]


def prove_with(tmp_path: Path, place: tuple[str, str, str], new: str) -> Proof:
    name, file, old = place
    root = run.build(name, Mutant("H", "", ((file, old, new),)), tmp_path.resolve() / name)
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    return prove(Target(spec, root, run.load(name).DRIVER), only="called=0,1")


@pytest.mark.parametrize(("place", "new", "verdict"), CASES)
def test_a_lock_or_an_id_that_two_jobs_share(
    tmp_path: Path, place: tuple[str, str, str], new: str, verdict: str
) -> None:
    proof = prove_with(tmp_path, place, new)
    assert proof.verdict == verdict, [one.message for one in proof.incomplete]
    rules = {witness.judgement.rule for witness in proof.witnesses}
    assert rules == ({"publish.dropped"} if verdict == "refuted" else set())


def test_a_job_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="job: 9"):
        name = "rq_invoice"
        root = run.build(name, None, tmp_path.resolve() / name)
        spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
        prove(Target(spec, root, "rq"), only="called=0,9")
