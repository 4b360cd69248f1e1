"""A small shop without any job library, and tests that notice what is wrong with it: a base for
branches that change the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import helpers

from skillrun.core.verdict import Finding
from skillrun.repo.git import open_repo
from skillrun.wall.counting.count import Sides, compare_sides
from skillrun.wall.counting.places import find_test_folders, read_paths
from skillrun.wall.diff import read_diff

SPEC = """
    version: 1
    job: send-receipt
    handler: shop.tasks:send_receipt
    enqueue: {call: "shop.queue:settle"}
    effects:
      - {name: email, call: "shop.mailer:send", guarantee: keyed, key_arg: idempotency_key}
    """
TASKS = """
    import logging

    from shop import mailer, marks

    log = logging.getLogger(__name__)


    def send_receipt(order_id, email):
        if marks.was_sent(order_id):
            return "known"
        try:
            mailer.send(email, idempotency_key=f"receipt-{order_id}")
        except mailer.BadAddress as error:
            log.error("dead order_id=%s reason=%r", order_id, error)
            marks.bury(order_id)
            return "dead"
        marks.mark(order_id, email)
        log.info("sent order_id=%s", order_id)
        return "sent"
    """
MARKS = """
    import os
    import sqlite3

    TABLES = (
        "create table if not exists receipts (order_id integer unique, email text)",
        "create table if not exists dead (order_id integer unique)",
    )


    def run(query, *values):
        connection = sqlite3.connect(os.environ["SHOP_DB"])
        try:
            with connection:
                for table in TABLES:
                    connection.execute(table)
                return connection.execute(query, values).fetchall()
        finally:
            connection.close()


    def was_sent(order_id):
        return bool(run("select 1 from receipts where order_id = ?", order_id))


    def mark(order_id, email):
        run("insert into receipts values (?, ?)", order_id, email)


    def bury(order_id):
        run("insert or ignore into dead values (?)", order_id)
    """
MAILER = """
    def post(url, body, headers):
        raise ConnectionError("no provider here")


    class BadAddress(Exception): ...


    def send(email, *, idempotency_key):
        if "@" not in email:
            raise BadAddress(email)
        headers = {"Idempotency-Key": idempotency_key}
        post("https://mail.example.com", {"to": email}, headers)
    """
QUEUE = """
    import json
    import os
    import subprocess
    import sys
    from pathlib import Path


    def settle(order_id, email):
        Path(os.environ["SHOP_QUEUE"]).write_text(json.dumps([order_id, email]))


    def work():
        from shop import mailer, tasks

        mailer.post = lambda url, body, headers: None
        print(tasks.send_receipt(*json.loads(Path(os.environ["SHOP_QUEUE"]).read_text())))


    def start():
        command = [sys.executable, "-c", "from shop import queue; queue.work()"]
        subprocess.run(command, check=True)
    """
CONFTEST = """
    import pytest

    from shop import mailer, marks


    @pytest.fixture
    def shop(tmp_path, monkeypatch):
        monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
        monkeypatch.setenv("SHOP_QUEUE", str(tmp_path / "queue"))
        return lambda table: marks.run(f"select * from {table}")


    @pytest.fixture
    def posted(monkeypatch):
        posted = []
        monkeypatch.setattr(mailer, "post", lambda url, body, headers: posted.append((body, headers)))
        return posted
    """
TESTS = """
    import logging

    import pytest

    from shop import mailer, queue
    from shop.tasks import send_receipt

    KEY = {"Idempotency-Key": "receipt-7"}


    def test_happy(shop, posted):
        assert send_receipt(7, "a@b") == "sent"
        assert shop("receipts") == [(7, "a@b")]


    def test_redelivery(shop, posted):
        send_receipt(7, "a@b")
        send_receipt(7, "a@b")
        assert len(posted) == 1


    def test_bad_address(shop, posted):
        assert send_receipt(7, "nobody") == "dead"
        assert shop("dead") == [(7,)]


    def test_log(shop, posted, caplog):
        with caplog.at_level(logging.INFO):
            send_receipt(7, "a@b")
            send_receipt(8, "nobody")
        assert "sent order_id=7" in caplog.text
        assert "dead order_id=8" in caplog.text


    def test_key(posted):
        mailer.send("a@b", idempotency_key="receipt-7")
        assert posted == [({"to": "a@b"}, KEY)]

    """
# One that starts a process takes much longer than all others.
WORKER = """

    def test_worker(shop):
        queue.settle(7, "a@b")
        queue.start()
        assert shop("receipts") == [(7, "a@b")]
    """
FILES: Mapping[str, str] = {
    ".skillrun/jobs/send-receipt.yaml": SPEC,
    "shop/__init__.py": "",
    "shop/tasks.py": TASKS,
    "shop/marks.py": MARKS,
    "shop/mailer.py": MAILER,
    "shop/queue.py": QUEUE,
    "tests/conftest.py": CONFTEST,
    "tests/test_shop.py": TESTS,
}


def replaced(path: str, *pairs: tuple[str, str]) -> dict[str, str]:
    """A file of the shop in which texts are others."""
    text = FILES[path]
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {path: text}


def compare(
    root: Path, changes: Mapping[str, str | None], base_files: Mapping[str, str] = FILES
) -> list[Finding]:
    """What the tests of a branch with these changes notice less; None takes a file away."""
    repo = helpers.build_tree(root, base_files)
    base = helpers.git(repo, "rev-parse", "HEAD").strip()
    for path, text in changes.items():
        if text is None:
            (repo / path).unlink()
    helpers.write_files(repo, {path: text for path, text in changes.items() if text is not None})
    helpers.commit(repo, "A branch")
    opened = open_repo(repo)
    assert opened.head is not None
    sides = Sides(opened, base, opened.head, (), lambda line: None)
    paths = read_paths(repo, base) | read_paths(repo, opened.head)
    folders = find_test_folders(paths)
    return list(compare_sides(sides, read_diff(repo, base, opened.head), folders))
