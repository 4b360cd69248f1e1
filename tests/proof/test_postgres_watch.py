"""What a job does to its PostgreSQL: the server tells what changed, and is nobody's deputy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from escaping import PLACE, check
from plain_job import JOBS, SPEC, plain_repo, proof_of
from serving import need, short_folder

from skillrun.probe.sql_text import find_reach
from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.services.find import find_postgres
from skillrun.proof.services.pgwire import Session
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.store_watch import StoreWatch

REACHES = {
    "copy (select 'x') to program 'sh'": "COPY PROGRAM",
    "COPY t TO '/tmp/x'": "COPY of a file",
    "copy t (a) from '/tmp/x' with csv": "COPY of a file",
    "select lo_export(1, '/tmp/x')": "lo_export",
    "select pg_read_file('x') from pg_class": "pg_read_file",
    "select * from dblink('host=x', 'select 1') as t (a int)": "dblink",
    "alter system set x = 1": "ALTER SYSTEM",
}
STAYS = [
    "copy t to stdout (delimiter ',')",
    "copy (select substring(a from 'x') from t) to stdout",
    "copy t from stdin with (format csv)",
    "insert into t values ('copy t to program')",
    "select dblink from servers",
    "select copy_of('x')",
]


@pytest.mark.parametrize("sql", REACHES)
def test_what_reaches_beyond_the_database(sql: str) -> None:
    assert find_reach(sql) == REACHES[sql]


@pytest.mark.parametrize("sql", STAYS)
def test_what_stays_in_it(sql: str) -> None:
    assert find_reach(sql) is None


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    need(find_postgres(), "postgres")
    with PostgresServer(short_folder()) as made:
        yield made


def run_as_job(server: PostgresServer, *statements: str) -> None:
    session = Session(server.socket, user="postgres", database="app", settings={})
    for statement in statements:
        session.run(statement)
    session.close()


@pytest.mark.real
def test_the_job_is_no_superuser_after_the_setup(server: PostgresServer) -> None:
    run_as_job(server, "create extension dblink", "create role other", "create table a (n int)")
    server.snapshot()
    run_as_job(server, "create extension hstore", "set role other", "reset role")
    run_as_job(server, "insert into a values (1)", "create schema more", "alter table a add m int")
    for refused in ("copy a to program 'true'", "copy a to '/tmp/x'", "select pg_ls_dir('/')"):
        with pytest.raises(ServiceFailed):
            run_as_job(server, refused)


@pytest.mark.real
def test_the_server_says_what_changed(server: PostgresServer) -> None:
    run_as_job(
        server,
        "create table a (n int)",
        "create table b (n int)",
        "create table p (n int) partition by range (n)",
        "create function f() returns trigger language plpgsql as"
        " 'begin insert into b values (new.n); return new; end'",
        "create trigger t after insert on a for each row execute function f()",
    )
    server.snapshot()
    watch = StoreWatch({"postgresql": server})
    run_as_job(
        server,
        "insert into a values (1)",
        "create table p1 partition of p for values from (0) to (9)",
        "insert into p values (1)",
        "create view v as select 'mail'",
        "create temp table w (n int)",
        "insert into w values (1)",
        "select lo_from_bytea(0, 'x')",
    )
    watch.look()
    assert {(change.kind, change.table, change.what) for change in watch.changes} == {
        ("table", "a", "written"),
        ("table", "b", "written"),
        ("table", "p", "created"),
        ("table", "large objects", "written"),
        ("view", "v", "created"),
    }
    server.restore()
    again = StoreWatch({"postgresql": server})
    again.look()
    assert again.changes == set()


@pytest.mark.real
def test_a_program_of_the_server_is_said(tmp_path: Path) -> None:
    need(find_postgres(), "postgres")
    pytest.importorskip("psycopg")
    lines = (
        'with psycopg.connect(os.environ["PG"], autocommit=True) as c:',
        "    try:",
        "        c.execute(\"copy (select 1) to program 'true'\")",
        "    except psycopg.Error as error:",
        "        assert 'superuser' in str(error), error",
    )
    code = "".join(f"            {line}\n" for line in lines)
    env = {**SPEC["proof"]["env"], "PG": "{postgresql}"}
    spec = {"proof": {**SPEC["proof"], "services": ["postgresql"], "env": env}}
    jobs = "    import psycopg\n" + JOBS.replace(PLACE, PLACE + code)
    proof = proof_of(plain_repo(tmp_path / "repo", jobs=jobs, changed=spec))
    check(proof, "undeclared store: COPY PROGRAM in PostgreSQL (jobs.py:")
