"""A setup that draws a key in each row leaves another database in each of the proof's places."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import yaml
from plain_job import SPEC, target_of

from skillrun.proof.judgement import Verdict
from skillrun.proof.prove import prove
from skillrun.proof.services.find import find_postgres

JOBS = """
    import logging
    import os

    import psycopg

    log = logging.getLogger(__name__)


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def handle(order_id):
        log.info("handle started order_id=%s", order_id)
        with psycopg.connect(os.environ["APP_DB"]) as db:
            ask = "select key, done from orders where id = %s for update"
            key, is_done = db.execute(ask, (order_id,)).fetchone()
            if not is_done:
                send(order_id, key=key)
                db.execute("update orders set done = true where id = %s", (order_id,))
        log.info("handle finished order_id=%s", order_id)
"""
SCHEMA = """
    import os
    import uuid

    import psycopg

    with psycopg.connect(os.environ["APP_DB"]) as db:
        db.execute("create table orders (id int primary key, key text, done bool default false)")
        for number in (7, 8):
            db.execute("insert into orders values (%s, %s)", (number, uuid.uuid4().hex))
"""


@pytest.mark.real
@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
def test_a_key_that_the_setup_draws_is_compared_in_one_place_alone(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    proof = {
        "env": {"APP_DB": "{postgresql}"},
        "services": ["postgresql"],
        "setup": "python schema.py",
        "database": "{postgresql}",
        "state": {"orders": "select id, key, done from orders order by 1"},
    }
    payload = {**SPEC["payload"], "examples": [{"order_id": 7}, {"order_id": 8}]}
    files = {
        "jobs.py": JOBS,
        "schema.py": SCHEMA,
        ".skillrun/jobs/handle-order.yaml": yaml.safe_dump(
            {**SPEC, "payload": payload, "retry": {"kind": "none"}, "proof": proof}
        ),
    }
    found = prove(target_of(helpers.build_tree(tmp_path / "repo", files)))
    said = [one.message for one in found.incomplete]
    assert (found.verdict, said) == (Verdict.PROVED, [])
