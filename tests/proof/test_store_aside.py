"""The repository's own databases: a proof opens a stand-in for each of them, and touches none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import hooked
import pytest

from skillrun.probe.aside import Aside
from skillrun.proof.aside import standing

MAKE = "import sqlite3; sqlite3.connect('data/shop.db').execute('create table t (id integer)')"
HANDLER = """
import pathlib, sqlite3
HERE = pathlib.Path(__file__).parent / "data" / "shop.db"

def main(payload):
    c = sqlite3.connect(database=f"file:{HERE}?mode=rwc", uri=True)
    with c:
        c.execute("insert into t values (7)")
    assert c.execute("select id from t").fetchall() == [(7,)]
"""
PROOF = {
    "setup": f'{sys.executable} -c "{MAKE}"',
    "database": "shop.db",
    "state": {"t": "select id from t"},
}


@pytest.mark.real
def test_setup_handler_and_queries_meet_in_the_scratch(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "shop.db") as mine:
        mine.execute("create table t (id integer)")
        mine.execute("insert into t values (1)")
    mine.close()
    before = (tmp_path / "data" / "shop.db").read_bytes()
    with hooked.explorer(tmp_path, {"jobs.py": HANDLER}, **PROOF) as explorer:
        history = explorer.run(hooked.parse_schedule("once"))
        assert explorer.workplace.folders.kept.keys() >= {"data/shop.db"}
    delivery = history.runs[0]
    assert delivery.first("returned"), [dict(event.data) for event in delivery.events]
    assert hooked.find(delivery, "insert-t#1")["store"] == "sqlite:{scratch}/data/shop.db"
    assert [event["name"] for event in delivery.all("note")] == ["data/shop.db"]
    assert history.state == {"t": [[7]]}
    assert (tmp_path / "data" / "shop.db").read_bytes() == before


@pytest.mark.real
def test_a_folder_that_is_not_there_is_no_reason_to_make_it(tmp_path: Path) -> None:
    hooked.history(tmp_path, HANDLER, **PROOF)
    assert not (tmp_path / "data").exists()


@pytest.mark.real
def test_a_committed_file_begins_as_its_copy(tmp_path: Path) -> None:
    rows = "sqlite3.connect('rates.db').execute('select * from r').fetchall()"
    reads = f"import sqlite3\ndef main(payload):\n    assert {rows}\n"
    with sqlite3.connect(tmp_path / "rates.db") as mine:
        mine.execute("create table r as select 1 as rate")
    mine.close()
    for command in (["init", "-q"], ["add", "rates.db"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    hooked.run(tmp_path, reads)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("shop.db", "shop.db"),
        (b"data/shop.db", "data/shop.db"),
        ("file:shop.db?cache=shared", "shop.db"),
        ("/srv/shop.db", "srv/shop.db"),
        (":memory:", None),
        ("", None),
        ("file::memory:?cache=shared", None),
        ("file:x?mode=memory", None),
        ("file:shop.db?mode=ro", None),
        (f"{sys.prefix}/share/zones.db", None),
    ],
)
def test_what_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | bytes, name: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    aside = Aside(str(tmp_path), str(tmp_path / "scratch"))
    assert aside.name_stand_in(given) == name
    assert aside.name_stand_in(str(tmp_path / "scratch" / "app.db")) is None


def test_a_part_of_the_path_names_one_file(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "shop.db").touch()
    assert standing(tmp_path, "shop.db") == tmp_path / "a" / "shop.db"
    (tmp_path / "b" / "shop.db").touch()
    assert standing(tmp_path, "shop.db") == tmp_path / "shop.db"
    assert standing(tmp_path, "b/shop.db") == tmp_path / "b" / "shop.db"
