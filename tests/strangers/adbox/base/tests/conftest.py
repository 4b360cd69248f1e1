import os
import tempfile

os.environ["ADBOX_HOME"] = tempfile.mkdtemp(prefix="adbox-test-")

import sqlite3

import pytest

from adbox import db, post, push
from adbox.jobs import huey


@pytest.fixture(autouse=True)
def fresh():
    db.PATH.unlink(missing_ok=True)
    conn = sqlite3.connect(db.PATH)
    conn.executescript(db.SCHEMA)
    db.demo(conn)
    conn.commit()
    conn.close()
    huey.flush()


@pytest.fixture(autouse=True)
def world(monkeypatch):
    done, trouble = [], {"mail": [], "push": []}

    def fake(name):
        def call(**kwargs):
            done.append(name)
            if trouble[name]:
                raise trouble[name].pop(0)
        return call

    monkeypatch.setattr(post, "send", fake("mail"))
    monkeypatch.setattr(push, "notify", fake("push"))
    done_and_trouble = type("World", (), {"done": done, "trouble": trouble})
    return done_and_trouble
