"""Without a spec nobody has said how long a claim holds, nor who puts it back: what comes of a job whose
worker has died.
"""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest

pytestmark = pytest.mark.real

TASKS = """\
    import os, sqlite3, time
    from contextlib import closing
    from celery import Celery
    from shop import mailer

    app = Celery("shop", broker="memory://")
    app.conf.task_acks_late = True
    app.conf.task_reject_on_worker_lost = True

    def connect():
        con = sqlite3.connect(os.environ["SHOP_DB"], timeout=5, isolation_level=None)
        con.execute(
            "create table if not exists orders (id integer primary key, email text,"
            " status text default 'due', claimed_until real default 0)"
        )
        return con

    @app.task(autoretry_for=(mailer.Away,), max_retries=4, default_retry_delay=30)
    def send(order_id):
        with closing(connect()) as con:
            CLAIM
            if not won:
                return
            (email,) = con.execute("select email from orders where id = ?", (order_id,)).fetchone()
            try:
                mailer.send(email, order_id)
            except mailer.Away:
                con.execute("update orders set status = 'due', claimed_until = 0 where id = ?", (order_id,))
                raise
            con.execute("update orders set status = 'sent' where id = ?", (order_id,))
"""
TEST = """\
    from shop import mailer, tasks

    def test_sends(tmp_path, monkeypatch):
        monkeypatch.setenv("SHOP_DB", str(tmp_path / "app.db"))
        sent = []
        monkeypatch.setattr(mailer, "send", lambda email, order_id: sent.append(email))
        con = tasks.connect()
        con.execute("insert into orders (id, email) values (7, 'a@example.org')")
        tasks.send(7)
        assert sent == ["a@example.org"]
        assert con.execute("select status from orders").fetchall() == [("sent",)]
"""
MAILER = """\
    class Away(Exception): ...

    def send(email, order_id):
        raise Away("no relay here")
"""
LEASE = """won = con.execute("update orders set claimed_until = ? where id = ? and status = 'due' and\
 claimed_until < ?", (time.time() + 600, order_id, time.time())).rowcount"""
FOR_EVER = """won = con.execute("update orders set status = 'sending' where id = ? and status = 'due'",\
 (order_id,)).rowcount"""


@pytest.mark.parametrize(
    ("claim", "verdict", "rule"),
    [(LEASE, "proved", "claim-outlives"), (FOR_EVER, "refuted", "effect.lost")],
)
def test_a_lease_is_a_risk_and_a_mark_a_refutation(
    claim: str, verdict: str, rule: str, home: Path, tmp_path: Path
) -> None:
    root = helpers.build_tree(
        tmp_path / "shop",
        {
            "shop/__init__.py": "",
            "shop/mailer.py": MAILER,
            "shop/tasks.py": TASKS.replace("CLAIM", claim),
            "tests/test_send.py": TEST,
            "conftest.py": "",
            "requirements.txt": "celery\npytest\n",
        },
    )
    done = helpers.run_cli("prove", "send", "--trust", "--json", cwd=root, timeout=600)
    document = json.loads(done.stdout)
    told = {one["rule"] for one in (*document["witnesses"], *document["risks"])}
    assert (document["verdict"], rule in told) == (verdict, True), sorted(told)
