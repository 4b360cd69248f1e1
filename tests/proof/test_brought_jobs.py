"""A further job whose work is written by the application's own call, and by nothing else."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from till import till_repo

from skillrun.contract.spec import load_spec
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

INSERTS = """
    from till import db
    from till.tasks import charge


    def enqueue(order_id):
        with db.begin() as store:
            store.execute("insert or ignore into orders values (?, 'open', 0, 0)", (order_id,))
        charge.delay(order_id=order_id)


    def publish_open():
        with db.begin() as store:
            rows = store.execute("select id from orders where status = 'open' order by 1").fetchall()
        for (order_id,) in rows:
            charge.delay(order_id=order_id)
"""
ORDERS = "        store.execute(\"insert into orders values (7, 'open', 0, 0), (8, 'open', 0, 0)\")"
ONE_KEY = ('key=f"order-{order_id}"', 'key="order"')


def proof_of_order(root: Path, only: str | None, *edits: tuple[str, str]) -> Proof:
    till_repo(root, *edits, recovers=[{"call": "till.desk:publish_open", "every": "10m"}])
    setup = root / "till/db.py"
    code = setup.read_text()
    assert code.count(ORDERS) == 1
    setup.write_text(code.replace(ORDERS, ""))
    (root / "till/desk.py").write_text(textwrap.dedent(INSERTS))
    spec = load_spec(root / ".skillrun/jobs/charge.yaml", root=root)
    return prove(Target(spec, root, "celery"), only=only)


@pytest.mark.real
def test_its_call_is_made_before_every_schedule(tmp_path: Path) -> None:
    proof = proof_of_order(tmp_path / "repo", "job=1")
    assert proof.incomplete == []
    assert proof.verdict == "proved"
    (tried,) = [one for one in proof.tried if str(one.schedule) == "job=1"]
    assert [call["key"] for call in tried.history.performed()] == ["'order-7'", "'order-8'"]


@pytest.mark.real
def test_a_key_that_two_orders_share_is_found_there(tmp_path: Path) -> None:
    proof = proof_of_order(tmp_path / "repo", "job=1", ONE_KEY)
    assert proof.verdict == "refuted"


@pytest.mark.real
def test_every_worker_of_a_proof_has_its_row(tmp_path: Path) -> None:
    proof = proof_of_order(tmp_path / "repo", None)
    assert (proof.verdict, proof.incomplete) == ("proved", [])
