"""A PostgreSQL of the proof's own: who understands its address, and what a restore brings back."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import psycopg2
import pytest
import sqlalchemy
from serving import soon

from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.services.postgres import PostgresServer


def names(server: PostgresServer) -> list[object]:
    return [row[0] for row in server.query("SELECT name FROM jobs ORDER BY id")]


@pytest.mark.real
def test_every_driver_understands_the_url(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url) as three:
        three.execute("INSERT INTO jobs (name) VALUES ('psycopg')")
    two = psycopg2.connect(postgres.url)
    two.cursor().execute("INSERT INTO jobs (name) VALUES ('psycopg2')")
    two.commit()
    two.close()
    for scheme in ("postgresql", "postgresql+psycopg2", "postgresql+psycopg"):
        engine = sqlalchemy.create_engine(scheme + postgres.url.removeprefix("postgresql"))
        with engine.begin() as alchemy:
            alchemy.execute(
                sqlalchemy.text("INSERT INTO jobs (name) VALUES (:name)"), {"name": scheme}
            )
        engine.dispose()
    assert names(postgres)[1:] == [
        "psycopg",
        "psycopg2",
        "postgresql",
        "postgresql+psycopg2",
        "postgresql+psycopg",
    ]


DJANGO = """
import sys
from urllib.parse import parse_qsl, urlsplit
from django.conf import settings
url = urlsplit(sys.argv[1])
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": url.path[1:], "USER": url.username, "HOST": url.hostname or "", "OPTIONS": dict(parse_qsl(url.query)),
}})
import django
django.setup()
from django.db import connection
connection.cursor().execute("INSERT INTO jobs (name) VALUES ('django')")
"""


@pytest.mark.real
def test_django_understands_the_url_as_dj_database_url_reads_it(postgres: PostgresServer) -> None:
    subprocess.run([sys.executable, "-c", DJANGO, postgres.url], check=True)
    assert names(postgres) == ["first", "django"]


def test_restore_brings_back_rows_sequences_and_tables(postgres: PostgresServer) -> None:
    for _ in range(2):
        postgres.query(
            "UPDATE jobs SET name = 'changed'; INSERT INTO jobs (name) VALUES ('second')"
        )
        postgres.query("CREATE TABLE later (id int); ALTER TABLE jobs ADD extra int")
        postgres.restore()
        assert postgres.query("SELECT * FROM jobs") == [[1, "first"]]
        assert postgres.query("SELECT to_regclass('later')") == [[None]]
    assert postgres.query("INSERT INTO jobs (name) VALUES ('second') RETURNING id") == [[2]]


def test_numbers_of_a_transaction_that_was_undone_are_given_back(
    postgres: PostgresServer,
) -> None:
    postgres.query("CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY, text text)")
    postgres.query("INSERT INTO jobs (name) VALUES ('second'); DELETE FROM jobs WHERE id = 2")
    before = postgres.read_sequences()
    undone = "INSERT INTO jobs (name) VALUES ('undone'); INSERT INTO notes (text) VALUES ('undone')"
    add = "INSERT INTO jobs (name) VALUES ('later') RETURNING id"
    postgres.query(f"BEGIN; {undone}; ROLLBACK")
    postgres.put_sequences_back(before)
    # 2 was drawn before, whatever became of its row.
    assert postgres.query(add) == [[3]]
    assert postgres.query("INSERT INTO notes (text) VALUES ('later') RETURNING id") == [[1]]
    postgres.put_sequences_back(before)
    assert postgres.query(add) == [[4]]


@pytest.mark.parametrize(
    ("made", "column", "number"),
    [
        ("ALTER SEQUENCE jobs_id_seq RESTART WITH 1000", "id", 1000),
        ("SELECT setval('jobs_id_seq', 1000, false)", "id", 1000),
        ("SELECT setval('jobs_id_seq', 1000)", "id", 1001),
        ("INSERT INTO jobs VALUES (700, 'explicit')", "id", 2),
        ("ALTER SEQUENCE jobs_id_seq MAXVALUE 50; INSERT INTO jobs VALUES (700, 'more')", "id", 2),
        ("ALTER SEQUENCE jobs_id_seq INCREMENT BY 10", "id", 11),
        ("ALTER TABLE jobs ADD no text DEFAULT nextval('jobs_id_seq')", "id", 5),
        (
            "DROP SEQUENCE IF EXISTS free; CREATE SEQUENCE free;"
            " ALTER TABLE jobs ADD no int DEFAULT nextval('free')",
            "no",
            2,
        ),
    ],
)
def test_an_undone_call_leaves_the_next_number_as_it_was(
    postgres: PostgresServer, made: str, column: str, number: int
) -> None:
    postgres.query(made)
    before = postgres.read_sequences()
    postgres.query("BEGIN; INSERT INTO jobs (name) VALUES ('undone'); ROLLBACK")
    postgres.put_sequences_back(before)
    add = f"INSERT INTO jobs (name) VALUES ('later') RETURNING {column}"
    assert postgres.query(add) == [[number]]


@pytest.mark.parametrize(
    "made",
    [
        "CREATE SEQUENCE later_no; CREATE TABLE later (no text DEFAULT nextval('later_no'));"
        " ALTER SEQUENCE later_no OWNED BY later.no",
        "CREATE SEQUENCE later_no; CREATE TABLE later (no numeric DEFAULT nextval('later_no'));"
        " ALTER SEQUENCE later_no OWNED BY later.no",
    ],
)
def test_numbers_that_are_no_whole_numbers_are_left_alone(
    postgres: PostgresServer, made: str
) -> None:
    postgres.query(f"DROP SEQUENCE IF EXISTS later_no; {made}; INSERT INTO later VALUES ('1.50')")
    before = postgres.read_sequences()
    postgres.query("BEGIN; INSERT INTO later DEFAULT VALUES; ROLLBACK")
    postgres.put_sequences_back(before)
    assert postgres.query("INSERT INTO later DEFAULT VALUES RETURNING no") == [["2"]]


def test_a_sequence_is_named_as_it_is_written(postgres: PostgresServer) -> None:
    schema = '"Anna\'s ""desk"""'
    table = f'{schema}."Order\'s"'
    postgres.query(f'CREATE SCHEMA {schema}; CREATE TABLE {table} ("No" serial, a int)')
    before = postgres.read_sequences()
    postgres.query(f"BEGIN; INSERT INTO {table} (a) VALUES (1); ROLLBACK")
    postgres.put_sequences_back(before)
    assert postgres.query(f'INSERT INTO {table} (a) VALUES (1) RETURNING "No"') == [[1]]
    postgres.query(f"DROP SCHEMA {schema} CASCADE")


def test_what_a_call_has_committed_keeps_its_number(postgres: PostgresServer) -> None:
    before = postgres.read_sequences()
    add = "INSERT INTO jobs (name) VALUES ('later') RETURNING id"
    assert postgres.query(add) == [[2]]
    postgres.query(f"BEGIN; {add}; ROLLBACK")
    postgres.query("INSERT INTO jobs VALUES (700, 'explicit')")
    postgres.put_sequences_back(before)
    assert postgres.query(add) == [[3]]


def test_a_sequence_that_the_call_has_changed_or_dropped_is_left_alone(
    postgres: PostgresServer,
) -> None:
    postgres.query("CREATE TABLE later (id serial, text text); SELECT nextval('jobs_id_seq')")
    before = postgres.read_sequences()
    postgres.query("DROP TABLE later; ALTER SEQUENCE jobs_id_seq RESTART WITH 2")
    postgres.put_sequences_back(before)
    assert postgres.query("INSERT INTO jobs (name) VALUES ('later') RETURNING id") == [[2]]


def test_restore_ends_transactions_and_their_locks(postgres: PostgresServer) -> None:
    left = psycopg.connect(postgres.url)
    left.execute("SELECT pg_advisory_lock(1)")
    left.execute("INSERT INTO jobs (name) VALUES ('uncommitted')")
    postgres.restore()
    assert postgres.query("SELECT pg_try_advisory_lock(1)") == [[True]]
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    assert names(postgres) == ["first"]


def test_settings_of_the_database_stay(postgres: PostgresServer) -> None:
    postgres.query("ALTER DATABASE app SET search_path = other, public")
    postgres.snapshot()
    for _ in range(2):
        postgres.query("ALTER DATABASE app SET search_path = changed")
        postgres.restore()
        assert postgres.query("SHOW search_path") == [["other, public"]]


def test_a_query_gives_values_or_what_postgres_says(postgres: PostgresServer) -> None:
    row = "1, 2::bigint, 1.5::float8, 1.50::numeric, true, NULL, '', 'é', '\\x00ff'::bytea"
    assert postgres.query(f"SELECT {row}") == [[1, 2, 1.5, "1.50", True, None, "", "é", "\\x00ff"]]
    assert postgres.query("SELECT timestamptz '2020-01-01 01:00+01'") == [
        ["2020-01-01 00:00:00+00"]
    ]
    assert postgres.query("") == []
    for wrong, said in (
        ("SELECT nothing", 'column "nothing" does not exist'),
        ("COPY jobs FROM STDIN", "COPY from"),
    ):
        with pytest.raises(ServiceFailed, match=said):
            postgres.query(wrong)
    assert postgres.query("SELECT 1") == [[1]]


HOLDER = (
    "import psycopg, sys, time; held = psycopg.connect(sys.argv[1]); print(flush=True);"
    " time.sleep(60)"
)


@pytest.mark.real
def test_the_server_notices_that_a_client_was_killed(postgres: PostgresServer) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, postgres.url], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert postgres.clients() == 1
        holder.kill()
    assert soon(lambda: postgres.clients() == 0)


@pytest.mark.real
def test_a_user_namespace_reaches_it(postgres: PostgresServer) -> None:
    if subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    code = (
        "import psycopg, sys; print(psycopg.connect(sys.argv[1]).execute('SELECT name FROM"
        " jobs').fetchone())"
    )
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", code, postgres.url],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "('first',)\n", done.stderr


LEDGER = """
    DROP TABLE IF EXISTS ledger, lines CASCADE;
    CREATE TABLE ledger (id bigserial PRIMARY KEY, item text);
    CREATE TABLE lines (ledger_id bigint REFERENCES ledger (id));
    INSERT INTO ledger (item) VALUES ('old'), ('older');
"""
UNDONE = "BEGIN; INSERT INTO ledger (item) VALUES ('undone'); ROLLBACK;"


@pytest.mark.real
@pytest.mark.parametrize(
    ("done", "asked", "shown"),
    [
        ("INSERT INTO ledger (item) VALUES ('new')", "SELECT id FROM ledger", [1, 2, 3]),
        ("INSERT INTO ledger (item) VALUES ('new')", "SELECT max(id) FROM ledger", [4]),
        (
            "INSERT INTO ledger (item) VALUES ('new')",
            "SELECT n FROM (SELECT l.id AS n FROM ledger l JOIN ledger o USING (id)) b ORDER BY 1",
            [1, 2, 3],
        ),
        (
            "INSERT INTO ledger (item) VALUES ('new'), ('newer')",
            "SELECT id FROM ledger ORDER BY id DESC LIMIT 1",
            [4],
        ),
        (
            "INSERT INTO ledger (item) VALUES ('new'), ('newer'); INSERT INTO lines VALUES (5), (2)",
            "SELECT ledger_id FROM lines",
            [4, 2],
        ),
        ("INSERT INTO ledger VALUES (99, 'its own')", "SELECT id FROM ledger", [1, 2, 99]),
        (
            "INSERT INTO ledger (item) VALUES ('new'); DELETE FROM ledger WHERE id = 1",
            "SELECT id FROM ledger",
            [2, 3],
        ),
    ],
)
def test_a_number_that_was_drawn_is_shown_without_gaps(
    postgres: PostgresServer, done: str, asked: str, shown: list[int]
) -> None:
    postgres.query(LEDGER)
    postgres.snapshot()
    postgres.restore()
    postgres.query(UNDONE)
    postgres.query(done)
    assert [row[0] for row in postgres.query_without_gaps(asked)] == shown


@pytest.mark.real
def test_numbers_count_from_what_was_put_back(postgres: PostgresServer) -> None:
    postgres.query(LEDGER)
    postgres.snapshot()
    postgres.query("INSERT INTO ledger (item) VALUES ('by the call')")
    postgres.keep_second()
    newest = "SELECT max_id FROM (SELECT id AS max_id FROM ledger ORDER BY id DESC LIMIT 1) n"
    for put_back, number in ((postgres.restore_second, 4), (postgres.restore, 3)):
        put_back()
        postgres.query(UNDONE)
        postgres.query("INSERT INTO ledger (item) VALUES ('new')")
        assert postgres.query_without_gaps(newest) == [[number]]
