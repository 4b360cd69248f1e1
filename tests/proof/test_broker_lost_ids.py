"""The broker comes back empty, and with the jobs their ids are gone: a sweep that goes by them, or
publishes under them, finds them free.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.spec import load_spec
from skillrun.proof.prove import prove
from skillrun.proof.result import Target

pytestmark = pytest.mark.real  # a library's own queue in each

ARQ_SWEEP = '''\
    await redis.aclose()


async def sweep() -> None:
    """Has those confirmed that nobody has confirmed."""
    undone = "select id, email from bookings where id not in (select booking_id from confirmations)"
    with closing(db.connect()) as connection:
        left = connection.execute(undone).fetchall()
    for booking_id, email in left:
        await book(booking_id, email)
'''
SAQ_SWEEP = '''\


async def sweep() -> None:
    """Has the tickets sent that nobody has sent."""
    undone = "select id, email from sales where id not in (select sale_id from tickets)"
    with closing(db.connect()) as connection:
        left = connection.execute(undone).fetchall()
    for sale_id, email in left:
        await sell(sale_id, email)
'''
RQ_SWEEP = '''\
        on_failure=Callback(jobs.failed),
    )


def sweep() -> None:
    """Has those booked for which no job is on its way."""
    undone = "select id, cents from invoices where id not in (select invoice_id from bookings)"
    with db.transaction() as connection:
        left = connection.execute(undone).fetchall()
    for invoice_id, cents in left:
        if queue.fetch_job(f"book-{invoice_id}") is None:
            close(invoice_id, cents)
'''
ARQ = (
    (
        "booking/desk.py",
        '"confirm", booking_id, email)',
        '"confirm", booking_id, email, _job_id=f"c-{booking_id}")',
    ),
    ("booking/desk.py", "    await redis.aclose()\n", ARQ_SWEEP),
)
SAQ = (
    (
        "museum/desk.py",
        "retries=RETRIES, timeout=60)\n",
        f'retries=RETRIES, timeout=60, key=f"ticket-{{sale_id}}")\n{SAQ_SWEEP}',
    ),
)
RQ = (
    (
        "billing/invoices.py",
        "        cents=cents,\n",
        '        cents=cents,\n        job_id=f"book-{invoice_id}",\n',
    ),
    ("billing/invoices.py", "        on_failure=Callback(jobs.failed),\n    )\n", RQ_SWEEP),
)
CASES = {
    "arq": ("arq_confirmation", "confirm", "booking.desk", ARQ),
    "saq": ("saq_ticket", "ticket", "museum.desk", SAQ),
    "rq": ("rq_invoice", "book-invoice", "billing.invoices", RQ),
}


# The last one: its worker dies, and the message is lost with it.
SCHEDULES = ("broker-empty=0", "broker-empty=1", "kill@before:commit#1 lose sweep")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("library", CASES)
def test_what_an_id_stood_for_is_lost_with_it(library: str, schedule: str, tmp_path: Path) -> None:
    name, job, module, edits = CASES[library]
    file = f".skillrun/jobs/{job}.yaml"
    recovers = f"recovers:\n  - {{call: {module}:sweep, every: 5m}}\ndead_letter:"
    changed = Mutant("H", "", (*edits, (file, "dead_letter:", recovers)))
    root = run.build(name, changed, tmp_path.resolve() / name)
    spec = load_spec(root / file, root=root)
    proof = prove(Target(spec, root, run.load(name).DRIVER), only=schedule)
    rules = {witness.judgement.rule for witness in proof.witnesses}
    assert (proof.verdict, rules) == ("proved", set()), proof.incomplete
