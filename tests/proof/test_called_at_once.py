"""Two distinct jobs are published at the same moment: what one caller has read before the other one
wrote must not take the other one's message away.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run
from run import Mutant

from skillrun.contract.spec import load_spec
from skillrun.proof.families import publisher, registry
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real

DB, ORDERS = "shop/db.py", "shop/orders.py"
TABLE = "CREATE TABLE IF NOT EXISTS dead_jobs"
OUTBOX = (
    "CREATE TABLE IF NOT EXISTS outbox (order_id INTEGER PRIMARY KEY, email TEXT, sent INTEGER);\n"
)
PUBLISH = "    tasks.send_receipt.delay(order_id=order_id, email=email)\n"
STORE = """\
        connection.execute("INSERT INTO orders VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (order_id, email))
"""
KEEP = """\
        connection.execute("INSERT INTO outbox VALUES (?, ?, 0) ON CONFLICT DO NOTHING", (order_id, email))
"""
READ = """\
    with db.transaction() as connection:
        waiting = connection.execute("SELECT order_id, email FROM outbox WHERE sent = 0").fetchall()
    for one, address in waiting:
        tasks.send_receipt.delay(order_id=one, email=address)
"""
MARKS_ALL = f"""{READ}\
    with db.transaction() as connection:
        connection.execute("UPDATE outbox SET sent = 1 WHERE sent = 0")
"""
MARKS_EACH = f"""{READ}\
    with db.transaction() as connection:
        for one, _ in waiting:
            connection.execute("UPDATE outbox SET sent = 1 WHERE order_id = ?", (one,))
"""


def prove_with(tmp_path: Path, flush: str, monkeypatch: pytest.MonkeyPatch) -> Proof:
    monkeypatch.setattr(registry, "FAMILIES", (publisher.called_at_once,))
    edits = (
        (DB, TABLE, OUTBOX + TABLE),
        (ORDERS, STORE, STORE + KEEP),
        (ORDERS, PUBLISH, flush),
    )
    root = run.build("celery_receipt", Mutant("H", "", edits), tmp_path.resolve() / "shop")
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    return prove(Target(spec, root, "celery"))


def test_another_callers_row_is_marked_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = prove_with(tmp_path, MARKS_ALL, monkeypatch)
    (witness,) = proof.witnesses
    assert witness.judgement.rule == "publish.dropped"
    assert "is published at the same moment" in witness.judgement.message


@pytest.mark.parametrize("flush", [MARKS_EACH, PUBLISH], ids=["its own rows", "no outbox"])
def test_who_marks_what_it_has_read_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flush: str
) -> None:
    proof = prove_with(tmp_path, flush, monkeypatch)
    tried = [one.schedule for one in proof.tried if one.schedule.called]
    assert len(tried) > 10
    assert proof.witnesses == []
    assert proof.incomplete == []
