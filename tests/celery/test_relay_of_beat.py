"""A relay that beat starts: the application's call only writes a row, and the next tick finds it."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import yaml

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real

SHOP = """
    import logging
    import os
    import sqlite3
    import time
    from contextlib import closing

    from celery import Celery

    app = Celery("shop", broker="memory://")
    app.conf.beat_schedule = {"relay": {"task": "shop.relay", "schedule": 60.0}}
    log = logging.getLogger("shop")
    WAIT_S = 60


    class Away(Exception):
        pass


    def post(order_id, key):
        raise RuntimeError("the real one must never run")


    def open_db():
        return closing(sqlite3.connect(os.environ["SHOP_DB"]))


    def order(order_id):
        with open_db() as db, db:
            db.execute("insert into outbox values (?, 'waiting', 0, 0) on conflict do nothing", (order_id,))


    @app.task(name="shop.relay")
    def relay():
        with open_db() as db:
            due = "select id, tries from outbox where status = 'waiting' and due <= ?"
            for order_id, tries in db.execute(due, (time.time(),)).fetchall():
                relay_one(db, order_id, tries + 1)


    def relay_one(db, order_id, tries):
        with db:
            db.execute(
                "update outbox set tries = ?, due = ? where id = ?",
                (tries, time.time() + WAIT_S, order_id),
            )
        log.info("relay started order_id=%s attempt=%s", order_id, tries)
        try:
            post(order_id, key=f"order-{order_id}")
        except Away as error:
            if tries >= 3:
                with db:
                    db.execute("update outbox set status = 'dead' where id = ?", (order_id,))
            log.warning("relay failed order_id=%s attempt=%s error=%s", order_id, tries, error)
            return
        with db:
            db.execute("update outbox set status = 'posted' where id = ?", (order_id,))
        log.info("relay posted order_id=%s", order_id)
"""
SCHEMA = """
    import os, sqlite3

    db = sqlite3.connect(os.environ["SHOP_DB"])
    db.execute("create table outbox (id integer primary key, status text, tries integer, due real)")
    db.commit()
"""
SPEC = {
    "version": 1,
    "job": "relay",
    "trigger": {"type": "poller", "every": "60s"},
    "payload": {"type": "object", "maxProperties": 0, "examples": [{}]},
    "handler": "shop:relay",
    "message": "kwargs",
    "enqueue": {"call": "shop:order", "args": {"order_id": 7}},
    "idempotency": {
        "strategy": "invariant",
        "invariant": {
            "statement": "a row is posted under its own key while it waits",
            "guarded_by": "the status of outbox",
        },
    },
    "effects": [{"name": "post", "call": "shop:post", "key_arg": "key", "guarantee": "keyed"}],
    "failures": {"transient": [{"type": "shop:Away"}]},
    "retry": {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "60s"}},
    "dead_letter": {"kind": "table", "where": "outbox"},
    "proof": {
        "env": {"SHOP_DB": "{scratch}/shop.db"},
        "setup": "python schema.py",
        "database": "{scratch}/shop.db",
        "state": {"outbox": "select id, status from outbox order by id"},
        "dead_letters": "select count(*) from outbox where status = 'dead'",
    },
}


def prove(
    root: Path,
    only: str,
    *,
    was: str = "",
    becomes: str = "{}",
    procfile: str = "",
    **trigger: str,
) -> Proof:
    assert was in SHOP
    spec = {**SPEC, "trigger": trigger or SPEC["trigger"]}
    files = {
        "shop.py": SHOP.replace(was, becomes) if was else SHOP,
        "schema.py": SCHEMA,
        "Procfile": procfile,
        ".skillrun/jobs/relay.yaml": yaml.safe_dump(spec),
    }
    repo = helpers.build_tree(root, files)
    target = Target(load_spec(repo / ".skillrun/jobs/relay.yaml", root=repo), repo, "celery")
    return try_prove(target, only=only)


@pytest.mark.parametrize(
    "only", ("kill@after:post#1", "raise=shop:Away@before:post#*/*", "kill@before:commit#1/*")
)
def test_the_next_tick_finds_what_a_death_or_an_error_left(tmp_path: Path, only: str) -> None:
    proof = prove(tmp_path / "repo", only)
    assert proof.verdict == "proved", proof


def test_a_cron_expression_says_the_same(tmp_path: Path) -> None:
    proof = prove(tmp_path / "repo", "kill@after:post#1", type="cron", schedule="*/1 * * * *")
    assert proof.verdict == "proved", proof


def test_a_row_that_no_tick_finds_again_is_refuted(tmp_path: Path) -> None:
    proof = prove(
        tmp_path / "repo",
        "kill@before:post#1",
        was="where status = 'waiting' and due",
        becomes="where status = 'waiting' and tries = 0 and due",
    )
    assert "effect.lost" in [one.judgement.rule for one in proof.witnesses]


def test_a_relay_that_no_schedule_names_is_not_proved(tmp_path: Path) -> None:
    """Nothing would ever start it: the call that should publish it publishes nothing."""
    proof = prove(
        tmp_path / "repo", "kill@after:post#1", was='{"task": "shop.relay", "schedule": 60.0}'
    )
    assert [one.rule for one in proof.incomplete] == ["not-published"]


def test_a_relay_whose_beat_is_not_started_is_a_risk(tmp_path: Path) -> None:
    workers = "worker: celery -A shop worker\n"
    without = prove(tmp_path / "repo", "once", procfile=workers)
    assert "never-due" in [risk.judgement.rule for risk in without.risks]
    beside = prove(tmp_path / "other", "once", procfile=workers + "beat: celery -A shop beat\n")
    assert "never-due" not in [risk.judgement.rule for risk in beside.risks]


def test_a_call_that_publishes_is_still_its_publisher(tmp_path: Path) -> None:
    """Then the message comes once, and no tick finds what a death has left."""
    proof = prove(
        tmp_path / "repo",
        "redeliver",
        was='on conflict do nothing", (order_id,))',
        becomes='on conflict do nothing", (order_id,))\n        relay.delay()',
    )
    assert proof.verdict == "proved", proof
    assert not proof.facts.ticks
