"""What changes in a store is what the store says, and not what a statement of the handler names."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from plain_job import JOBS, SCHEMA, SPEC, plain_repo, proof_of

from skillrun.proof import store_watch
from skillrun.proof.result import Proof
from skillrun.proof.state import SqliteStore
from skillrun.proof.store_watch import Change, Contents, StoreWatch, find_changes, unshown

INSERT = (
    '            db.execute("insert into done values (?) on conflict do nothing", (order_id,))\n'
)


def make_store(tmp_path: Path, script: str) -> SqliteStore:
    run_script(tmp_path, script)
    return SqliteStore(tmp_path / "app.db")


def run_script(tmp_path: Path, script: str) -> None:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.executescript(script)
    connection.close()


WRITTEN = {
    "rows": ("insert into b values (2)", ("table", "b", "written")),
    "trigger": ("update a set n = n", ("table", "b", "written")),
    "dropped": ("drop table b", ("table", "b", "dropped")),
    "created": ("create table c (n)", ("table", "c", "created")),
    "altered": ("alter table b add column m default 'x'", ("table", "b", "altered")),
    "view": ("create view v as select 'mail'", ("view", "v", "created")),
    "index": ("create index i on b (n)", ("index", "i", "created")),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_a_store_says_what_changed(tmp_path: Path, case: str) -> None:
    script, expected = WRITTEN[case]
    store = make_store(
        tmp_path,
        "create table a (n); create table b (n); insert into a values (1);"
        "create trigger t after update on a begin insert into b values (new.n); end;",
    )
    watch = StoreWatch({"sqlite": store})
    run_script(tmp_path, script)
    watch.look()
    assert expected in {(change.kind, change.name, change.what) for change in watch.changes}


def test_what_is_as_before_is_no_change(tmp_path: Path) -> None:
    store = make_store(tmp_path, "create table a (n); insert into a values (1), (2)")
    watch = StoreWatch({"sqlite": store})
    run_script(tmp_path, "delete from a where n = 1; insert into a values (1); analyze; vacuum")
    watch.look()
    assert watch.changes == set()


def test_the_tables_below_a_virtual_one_are_this_one(tmp_path: Path) -> None:
    store = make_store(tmp_path, "create virtual table f using fts5(t)")
    watch = StoreWatch({"sqlite": store})
    run_script(tmp_path, "insert into f values ('x')")
    watch.look()
    assert {change.name for change in watch.changes} == {"f"}


def test_what_is_written_aside_does_not_count(tmp_path: Path) -> None:
    store = make_store(tmp_path, "create table a (n); create table b (n)")
    watch = StoreWatch({"sqlite": store})
    run_script(tmp_path, "insert into a values (1)")
    with watch.aside():
        run_script(tmp_path, "insert into b values (1)")
    watch.look()
    assert {change.name for change in watch.changes} == {"a"}


def changed(name: str, what: str = "written", kind: str = "table", table: str = "") -> Change:
    return Change("sqlite", kind, name, what, table or name)


@pytest.mark.parametrize(
    ("change", "driver"),
    [
        (changed("done"), None),
        (changed("done", "created"), None),
        (changed("procrastinate_events"), "procrastinate"),
        (changed("celery_taskmeta", "created"), "celery"),
        (changed("django_q_task"), "django-q2"),
        (changed("django_migrations"), "celery"),
    ],
)
def test_what_a_query_reads_or_the_library_keeps_is_shown(
    change: Change, driver: str | None
) -> None:
    assert list(unshown([change], {"done"}, driver)) == []


@pytest.mark.parametrize(
    ("change", "driver"),
    [
        (changed("mails"), None),
        (changed("mails"), "celery"),
        (changed("django_q_task"), "celery"),
        (changed("done", "dropped"), None),
        (changed("done", "altered"), None),
        (changed("mail_7", "created", "view"), None),
        (changed("tr", "created", "trigger", "done"), None),
    ],
)
def test_what_nothing_shows_is_told(change: Change, driver: str | None) -> None:
    assert list(unshown([change], {"done"}, driver)) == [change]


def test_a_made_table_is_told_once() -> None:
    after = Contents({"a": "x"}, {("table", "a", "a"): "create table a (n)"})
    assert [change.what for change in find_changes("sqlite", Contents(), after)] == ["created"]


def test_a_library_may_speak_to_subscribers_where_it_keeps_keys() -> None:
    assert store_watch.may_publish("celery")
    assert not store_watch.may_publish("procrastinate")
    assert not store_watch.may_publish(None)


# -- whole proofs


def watched_proof(
    tmp_path: Path, code: str = "", schema: str = "", spec: dict[str, Any] | None = None
) -> Proof:
    """`code` stands beside the handler's own insert, `schema` is a script of the setup."""
    lines = "".join(f"            {line}\n" for line in code.splitlines())
    repo = plain_repo(tmp_path / "repo", jobs=JOBS.replace(INSERT, INSERT + lines), changed=spec)
    script = f"sqlite3.connect(os.environ['APP_DB']).executescript({schema!r})\n"
    source = "\n".join(line.strip() for line in SCHEMA.splitlines())
    (repo / "schema.py").write_text(source + "\n" + script)
    return proof_of(repo)


TRIGGER = (
    "create table mails (a);"
    "create trigger tr after insert on done begin insert into mails values (new.order_id); end;"
)
CASCADE = (
    "create table orders (id integer primary key); insert into orders values (7);"
    "create table ledger (o references orders (id) on delete cascade);"
    "insert into ledger values (7);"
)
HIDDEN = {
    "trigger": ("", TRIGGER, "the table mails is written"),
    "cascade": (
        "db.commit(); db.execute('pragma foreign_keys=on')\n"
        "db.execute('replace into orders values (7)')",
        CASCADE,
        "the table ledger is written",
    ),
    "drop": (
        "db.execute('drop table if exists old')",
        "create table old (a); insert into old values (1)",
        "the table old is dropped",
    ),
    "view": (
        "db.execute(f'create view if not exists mail_{order_id} as select 1 as a')",
        "",
        "the view mail_7 is created",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", HIDDEN)
def test_what_no_statement_names_is_said(tmp_path: Path, name: str) -> None:
    code, schema, said = HIDDEN[name]
    proof = watched_proof(tmp_path, code, schema)
    found = [j.message for j in proof.incomplete if j.rule == "state.unread"]
    assert any(message.startswith(said) for message in found), found
    assert proof.verdict == "incomplete"


HONEST = {
    "as it is": ("", ""),
    "temporary": (
        "db.execute('create temp table work (a)')\ndb.execute('insert into work values (1)')",
        "",
    ),
    "made at first use": (
        "db.execute('create table if not exists done (order_id integer primary key)')",
        "",
    ),
    "counter": ("", "create table more (id integer primary key autoincrement)"),
    "analyze": ("db.execute('analyze')", ""),
}


@pytest.mark.real
@pytest.mark.parametrize("name", HONEST)
def test_what_leaves_nothing_else_stays_proved(tmp_path: Path, name: str) -> None:
    proof = watched_proof(tmp_path, *HONEST[name])
    assert proof.verdict == "proved", [j.message for j in proof.incomplete]


@pytest.mark.real
def test_a_trigger_that_a_query_reads_stays_proved(tmp_path: Path) -> None:
    asked = {"done": "select * from done", "mails": "select a from mails"}
    spec = {"proof": {**SPEC["proof"], "state": asked}}
    proof = watched_proof(tmp_path, schema=TRIGGER, spec=spec)
    assert proof.verdict == "proved", [j.message for j in proof.incomplete]
