"""Worlds with other rows than a setup makes, in a real SQLite file and in a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from plain_job import plain_repo, target_of

from skillrun.proof.changed_rows import change_rows, find_left, list_worlds
from skillrun.proof.observe import observe_worlds
from skillrun.proof.rivals import read_contents
from skillrun.proof.state import SqliteStore
from skillrun.proof.worlds import CENTS, DONE, FOREIGN, GIVEN_UP, LONGER, MANY, MORE_ROWS, World

TABLES = """
    create table batches (id integer primary key, layer text, status text check (status in ('open')));
    create table features (id integer primary key, batch_id integer, name text, iban text, cents integer);
    create table letters (job text, payload text, unique (job, payload));
    create table django_migrations (id integer primary key, app text);
    insert into batches values (1, 'roads', 'open');
    insert into features values (1, 1, 'Aare', 'CH9300762011623852957', 48550);
    insert into features values (2, 1, 'Reuss', 'CH5604835012345678009', 4200);
    insert into django_migrations values (1, 'shop');
"""


class _Key:
    key = ("batch_id",)


class _Spec:
    """As far as worlds ask."""

    examples: Any = ({"batch_id": 1},)
    idempotency = _Key()


SPEC: Any = _Spec()


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    with sqlite3.connect(tmp_path / "app.db") as database:
        database.executescript(TABLES)
    return SqliteStore(tmp_path / "app.db")


def count(store: SqliteStore, table: str) -> int:
    return int(store.query(f"select count(*) from {table}")[0][0])


def test_each_table_gets_a_thousand_rows_more_but_no_migrations(store: SqliteStore) -> None:
    change_rows(store, SPEC, World(MANY), {})
    assert count(store, "features") == 2 + MORE_ROWS
    assert count(store, "django_migrations") == 1
    # They belong to the job that the first ones belong to.
    assert store.query("select distinct batch_id from features") == [[1]]


def test_what_a_job_has_left_is_left_by_a_thousand_others(store: SqliteStore) -> None:
    before = read_contents(store)
    with sqlite3.connect(store.path) as database:
        database.execute("insert into letters values ('tiles', '{}')")
        database.execute("insert into features values (3, 1, 'Limmat', '', 1)")
    left = {GIVEN_UP: find_left(before, read_contents(store))}
    assert set(left[GIVEN_UP]) == {"letters", "features"}
    change_rows(store, SPEC, World(GIVEN_UP), left)
    # Two columns together are unique there: one of them differs.
    assert count(store, "letters") == 1 + MORE_ROWS
    # None of them is of this very job.
    assert store.query("select count(*) from features where batch_id = 1") == [[3]]
    change_rows(store, SPEC, World(DONE), left)
    assert count(store, "letters") == 1 + MORE_ROWS


def test_rows_that_a_job_has_changed_are_left_by_it_too(store: SqliteStore) -> None:
    before = read_contents(store)
    with sqlite3.connect(store.path) as database:
        database.execute("update features set cents = 1 where id = 2")
    assert find_left(before, read_contents(store)) == {}
    (row,) = find_left(before, read_contents(store), with_changed=True)["features"].values()
    assert (row["id"], row["cents"]) == (2, 1)


def test_columns_that_are_sent_get_other_values(store: SqliteStore) -> None:
    worlds = list_worlds(store, SPEC, "transfer of 48550 to CH9300762011623852957", ["features"])
    named = {str(world) for world in worlds}
    assert {"many", "done", "given-up", "cents:features.cents"} <= named
    assert {"foreign:features.iban", "longer:features.iban", "foreign:features.name"} <= named
    # A word of a list, a number of a row, a table that the job does not read.
    assert not any("status" in name or ".id" in name or "batches" in name for name in named)


@pytest.mark.parametrize(
    ("kind", "column", "value"),
    [
        (FOREIGN, "name", "Aare, Łé"),
        (LONGER, "iban", "CH9300762011623852957852957852957"),
        (CENTS, "cents", 1931),
    ],
)
def test_one_column_is_changed(store: SqliteStore, kind: str, column: str, value: object) -> None:
    change_rows(store, SPEC, World(kind, "features", column), {})
    assert store.query(f"select {column} from features where id = 1") == [[value]]


@pytest.mark.real
def test_a_job_is_run_in_each_world(tmp_path: Path) -> None:
    seen = observe_worlds(target_of(plain_repo(tmp_path)))
    assert list(seen) == ["", MANY, DONE, GIVEN_UP]
    for histories in seen.values():
        assert [run.outcome for run in histories[0].runs] == ["succeeded"]
