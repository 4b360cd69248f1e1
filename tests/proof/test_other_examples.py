"""A job that does one thing or another: each of its effects is proved with an example that comes to
it.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from plain_job import SPEC, plain_repo, target_of

from skillrun.core.errors import Misuse
from skillrun.proof.prove import prove
from skillrun.proof.report import proof_report

JOBS = """
    import logging
    import os
    import sqlite3
    from contextlib import closing

    log = logging.getLogger(__name__)
    DB = os.environ["APP_DB"]


    def refund(order_id, key):
        raise RuntimeError("the real one must never run")


    def voucher(order_id, key):
        raise RuntimeError("the real one must never run")


    def handle(order_id):
        log.info("handle started order_id=%s", order_id)
        with closing(sqlite3.connect(DB)) as db, db:
            if db.execute("select 1 from done where order_id = ?", (order_id,)).fetchone():
                return
            if order_id % 2:
                refund(order_id, key=f"order-{order_id}")
            else:
                voucher(order_id, key=f"order-{order_id}")
            db.execute("insert into done values (?) on conflict do nothing", (order_id,))
        log.info("handle finished order_id=%s", order_id)
"""
DRAWN = "voucher(order_id, key=os.urandom(8).hex())"
KEYED = 'voucher(order_id, key=f"order-{order_id}")'


def change_spec(*examples: int) -> dict[str, Any]:
    payload = {**SPEC["payload"], "examples": [{"order_id": number} for number in examples]}
    effects = [
        {"name": name, "call": f"jobs:{name}", "key_arg": "key", "guarantee": "keyed"}
        for name in ("refund", "voucher")
    ]
    return {"payload": payload, "effects": effects}


@pytest.mark.real
def test_an_effect_of_another_example_is_proved_with_it(tmp_path: Path) -> None:
    target = target_of(plain_repo(tmp_path, jobs=JOBS, changed=change_spec(7, 9, 8)))
    proof = prove(target)
    assert (proof.verdict, [one.message for one in proof.incomplete]) == ("proved", [])
    tried = {str(one.schedule) for one in proof.tried}
    assert {"kill@after:refund#1", "kill@after:voucher#1 example=2"} <= tried
    document = proof_report(proof, target)
    seen = {effect["name"]: effect["observed"] for effect in document["effects"]}
    assert seen == {"refund": "keyed", "voucher": "keyed"}
    assert (
        "payload.examples[2], which comes to voucher, was proved as a job of its own"
        in (document["assumptions"])
    )


@pytest.mark.real
def test_a_mistake_there_is_refuted_and_replayed(tmp_path: Path) -> None:
    root = plain_repo(tmp_path, jobs=JOBS, changed=change_spec(7, 8), was=KEYED, becomes=DRAWN)
    proof = prove(target_of(root))
    assert proof.verdict == "refuted"
    assert {witness.tried.schedule.example for witness in proof.witnesses} == {1}
    again = str(proof.witnesses[0].tried.schedule)
    assert again.endswith("example=1") or " example=1 " in again
    replayed = prove(target_of(root), only=again)
    assert replayed.verdict == "refuted"
    assert str(replayed.witnesses[0].tried.schedule) == again


@pytest.mark.real
def test_an_effect_that_no_example_comes_to_is_said(tmp_path: Path) -> None:
    proof = prove(target_of(plain_repo(tmp_path, jobs=JOBS, changed=change_spec(7, 9))))
    assert proof.verdict == "incomplete"
    assert [one.message for one in proof.incomplete] == ["the single run does not reach: voucher"]


@pytest.mark.real
def test_who_takes_the_other_way_at_a_second_delivery_is_refuted(tmp_path: Path) -> None:
    """Refunded, and a voucher on top of it."""
    jobs = textwrap.dedent(JOBS).replace(
        "            return\n        if order_id % 2:",
        "            order_id += 1\n        if order_id % 2:",
    )
    assert "order_id += 1" in jobs
    proof = prove(target_of(plain_repo(tmp_path, jobs=jobs, changed=change_spec(7, 8))))
    assert proof.verdict == "refuted"


def test_an_example_that_is_not_there_is_refused(tmp_path: Path) -> None:
    root = plain_repo(tmp_path, jobs=JOBS, changed=change_spec(7, 8))
    with pytest.raises(Misuse, match=r"payload\.examples has no 2"):
        prove(target_of(root), only="redeliver example=2")
