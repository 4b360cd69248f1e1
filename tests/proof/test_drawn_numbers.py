"""Numbers that PostgreSQL gives to rows: a transaction that is undone has drawn one, and leaves a
gap. Rows are compared by their order then, and by what points to them.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import yaml
from plain_job import SPEC, target_of

from skillrun.proof.prove import prove
from skillrun.proof.result import Proof
from skillrun.proof.services.find import find_postgres

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here"),
]

JOBS = """
    import logging
    import os

    import psycopg

    log = logging.getLogger(__name__)


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def begin(db):
        pass


    def handle(order_id):
        log.info("handle started order_id=%s", order_id)
        with psycopg.connect(os.environ["APP_DB"]) as db:
            begin(db)
            db.execute("select 1 from orders where id = %s for update", (order_id,))
            if not db.execute("select 1 from ledger where order_id = %s", (order_id,)).fetchone():
                add = "insert into ledger (order_id) values (%s) returning id"
                (ledger_id,) = db.execute(add, (order_id,)).fetchone()
                db.execute("insert into lines values (%s, 'tea')", (ledger_id,))
                send(order_id, key=f"order-{order_id}")
        log.info("handle finished order_id=%s", order_id)
"""
SCHEMA = """
    import os

    import psycopg

    with psycopg.connect(os.environ["APP_DB"]) as db:
        db.execute("create table orders (id int primary key)")
        db.execute("insert into orders values (7), (8)")
        db.execute("create table ledger (id bigserial primary key, order_id int)")
        db.execute("insert into ledger (order_id) values (1), (2)")
        db.execute("create table lines (ledger_id bigint references ledger (id), item text)")
"""
STATE = {
    "ledger": "select id, order_id from ledger order by id",
    "lines": "select l.ledger_id as number, item from lines l order by 1",
}
DEATH = "kill@before:send#1"


def proof_of(root: Path, only: str, *edits: tuple[str, str], **state: str) -> Proof:
    jobs = JOBS
    for old, new in edits:
        assert jobs.count(old) == 1, old
        jobs = jobs.replace(old, new)
    proof = {
        "env": {"APP_DB": "{postgresql}"},
        "services": ["postgresql"],
        "setup": "python schema.py",
        "database": "{postgresql}",
        "state": state or STATE,
    }
    payload = {**SPEC["payload"], "examples": [{"order_id": 7}, {"order_id": 8}]}
    spec = {**SPEC, "payload": payload, "retry": {"kind": "none"}, "proof": proof}
    files = {
        "jobs.py": jobs,
        "schema.py": SCHEMA,
        ".skillrun/jobs/handle-order.yaml": yaml.safe_dump(spec),
    }
    pytest.importorskip("psycopg")
    return prove(target_of(helpers.build_tree(root, files)), only=only)


def test_a_gap_that_an_undone_transaction_leaves_is_no_other_state(tmp_path: Path) -> None:
    found = proof_of(tmp_path / "repo", DEATH)
    assert [one.judgement.rule for one in found.witnesses] == []
    assert found.verdict == "proved"


ANEW = (
    'if not db.execute("select 1 from ledger where order_id = %s", (order_id,)).fetchone():',
    "if True:",
)
COMMITS = ("                send(order", "                db.commit()\n                send(order")
BY_NUMBER = ('key=f"order-{order_id}"', 'key=f"ledger-{ledger_id}"')


def test_a_second_row_is_one_also_where_only_the_latest_is_asked_for(tmp_path: Path) -> None:
    latest = "select id from ledger order by id desc limit 1"
    found = proof_of(tmp_path / "repo", DEATH, ANEW, COMMITS, latest=latest)
    assert "state.differs" in [one.judgement.rule for one in found.witnesses]


def test_an_effect_whose_key_is_such_a_number_takes_place_twice(tmp_path: Path) -> None:
    found = proof_of(tmp_path / "repo", "kill@after:send#1", BY_NUMBER)
    assert [one.judgement.effect for one in found.witnesses] == ["send"]


def test_a_table_that_no_query_reads_may_have_gaps(tmp_path: Path) -> None:
    found = proof_of(tmp_path / "repo", DEATH, lines=STATE["lines"])
    assert (found.verdict, found.incomplete) == ("proved", [])


# Each delivery writes its row of the ledger anew; the line, which no foreign key holds, stays with
# the number of the first one.
WRITES_ANEW = (
    (
        ANEW[0],
        'db.execute("delete from ledger where order_id = %s", (order_id,))\n            if True:',
    ),
    (
        """db.execute("insert into lines values (%s, 'tea')", (ledger_id,))""",
        """if not db.execute("select 1 from lines").fetchone():
                    db.execute("insert into lines values (%s, 'tea')", (ledger_id,))
                db.commit()""",
    ),
)
UNBOUND = "ledger_id bigint references ledger (id)", "ledger_id bigint"


def test_what_points_to_a_row_that_is_gone_does_not_point_to_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SCHEMA.count(UNBOUND[0]) == 1
    monkeypatch.setitem(globals(), "SCHEMA", SCHEMA.replace(*UNBOUND))
    found = proof_of(tmp_path / "repo", DEATH, *WRITES_ANEW)
    assert "state.differs" in [one.judgement.rule for one in found.witnesses]


def test_who_deletes_what_is_not_there_may_leave_a_gap(tmp_path: Path) -> None:
    """The same in one transaction: the row that an undone one wrote was never there."""
    found = proof_of(tmp_path / "repo", DEATH, WRITES_ANEW[0])
    assert [one.judgement.rule for one in found.witnesses] == []
    assert found.verdict == "proved"
