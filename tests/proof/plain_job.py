"""A small repository with a plain callable as its job, correct as it stands; tests break it in one
place each.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helpers
import yaml

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.result import Proof, Target

JOBS = """
    import logging
    import os
    import sqlite3
    import time
    from contextlib import closing

    log = logging.getLogger(__name__)
    DB = os.environ["APP_DB"]


    class Away(Exception):
        pass


    def send(order_id, key):
        raise RuntimeError("the real one must never run")


    def handle(order_id):
        log.info("handle started order_id=%s", order_id)
        with closing(sqlite3.connect(DB)) as db, db:
            if db.execute("select 1 from done where order_id = ?", (order_id,)).fetchone():
                return
            send(order_id, key=f"order-{order_id}")
            db.execute("insert into done values (?) on conflict do nothing", (order_id,))
        log.info("handle finished order_id=%s", order_id)
"""
SCHEMA = """
    import os
    import sqlite3

    sqlite3.connect(os.environ["APP_DB"]).execute("create table done (order_id integer primary key)")
"""
SPEC: dict[str, Any] = {
    "version": 1,
    "job": "handle-order",
    "trigger": {"type": "poller", "every": "1m"},
    "payload": {
        "type": "object",
        "required": ["order_id"],
        "properties": {"order_id": {"type": "integer"}},
        "examples": [{"order_id": 7}],
    },
    "handler": "jobs:handle",
    "message": "kwargs",
    "idempotency": {"strategy": "keyed", "key": ["order_id"], "dedupe": {"store": "table done"}},
    "effects": [{"name": "send", "call": "jobs:send", "key_arg": "key", "guarantee": "keyed"}],
    "proof": {
        "env": {"APP_DB": "{scratch}/app.db"},
        "setup": "python schema.py",
        "database": "{scratch}/app.db",
        "state": {"done": "select * from done order by 1"},
    },
}


def plain_repo(
    root: Path, *, jobs: str = JOBS, changed: Mapping[str, Any] | None = None, **edits: str
) -> Path:
    """The repository. `edits`: old=new pairs are not names, so they come as `was=...,
    becomes=...`.
    """
    if edits:
        assert edits["was"] in jobs, edits["was"]
        jobs = jobs.replace(edits["was"], edits["becomes"])
    spec = {**SPEC, **(changed or {})}
    files = {
        "jobs.py": jobs,
        "schema.py": SCHEMA,
        ".skillrun/jobs/handle-order.yaml": yaml.safe_dump(spec),
    }
    return helpers.build_tree(root, files)


def target_of(root: Path) -> Target:
    """What `prove` takes."""
    return Target(load_spec(root / ".skillrun/jobs/handle-order.yaml", root=root), root, None)


def proof_of(root: Path, only: str | None = "redeliver") -> Proof:
    """The proof, by default of one schedule."""
    return try_prove(target_of(root), only=only)
