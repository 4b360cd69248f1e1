import os

os.environ["METER_BROKER"] = "stub"

import pytest

from meterhub import db, house


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("METER_DB", str(tmp_path / "meters.sqlite3"))
    db.create()
    db.demo()
    house.BROKER.flush_all()


@pytest.fixture
def ask():
    def ask(query):
        with db.reading() as con:
            return con.execute(query).fetchall()

    return ask
