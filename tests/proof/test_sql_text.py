"""What a statement does, read from its text."""

from __future__ import annotations

import pytest

from skillrun.probe.sql_text import parse_statement

WRITES = {
    "INSERT OR IGNORE INTO main.\"A b\" VALUES ('delete from x')": ("insert", "a b"),
    "insert into a (x) values (1) on conflict (x) do update set x = 2 returning id": (
        "insert",
        "a",
    ),
    "REPLACE INTO t VALUES (1)": ("insert", "t"),
    "-- why\n/* update x set */ UPDATE\n  shop.[Orders]\nSET a = 1 FROM b WHERE b.id = 1": (
        "update",
        "orders",
    ),
    "update or ignore `t` set a = 1": ("update", "t"),
    "update only s.t set a = $tag$ from z $tag$": ("update", "t"),
    "delete from only t": ("delete", "t"),
    "with x as (select (1) from b) insert into y select * from x": ("insert", "y"),
    "with moved as (delete from a returning *) select * from moved": ("delete", "a"),
    "merge into t using s on true when matched then delete": ("merge", "t"),
    "truncate table only a": ("truncate", "a"),
    "copy t (a) from stdin": ("copy", "t"),
    "create unique index if not exists i on t (a)": ("create", "i"),
    "create table t (a references x on delete cascade on update cascade)": ("create", "t"),
    "create trigger x after insert on t begin insert into log values (1); end": ("create", "x"),
    "drop table if exists a.b": ("drop", "b"),
    "alter table only t add column x int": ("alter", "t"),
    "begin; insert into t values (1); commit": ("insert", "t"),
    "explain analyze delete from t": ("delete", "t"),
}
READS = {
    "select * from jobs where id = 1 for update skip locked": ("select", "jobs"),
    "select * from jobs for no key update": ("select", "jobs"),
    "select replace(a, 'insert into b', 'y') from t": ("select", "t"),
    "select extract(epoch from now()) from only t": ("select", "t"),
    "select * from (select 1 from z) q": ("select", ""),
    'select "delete", "update" from t': ("select", "t"),
    "copy t to stdout": ("select", "t"),
    "copy (select * from t) to stdout": ("select", ""),
    "values (1)": ("select", ""),
    "explain delete from t": ("explain", "t"),
    "": ("?", ""),
    "-- nothing": ("?", ""),
    "BEGIN IMMEDIATE": ("begin", ""),
    "END TRANSACTION": ("commit", ""),
    "abort": ("rollback", ""),
    'ROLLBACK TO SAVEPOINT "s1";': ("rollback to", ""),
    'release savepoint "s1";': ("release", '"s1'),
}


@pytest.mark.parametrize("sql", WRITES)
def test_a_write(sql: str) -> None:
    verb, table, written = parse_statement(sql)
    assert (verb, table) == WRITES[sql]
    assert written == (table,)


@pytest.mark.parametrize("sql", READS)
def test_no_write(sql: str) -> None:
    verb, table, written = parse_statement(sql)
    assert (verb, table) == READS[sql]
    assert written == ()


def test_every_written_table_is_named() -> None:
    sql = (
        "with old as (delete from a returning *), b2 as (update b set x = 1) insert into c select *"
        " from old"
    )
    assert parse_statement(sql) == ("delete", "a", ("a", "b", "c"))
