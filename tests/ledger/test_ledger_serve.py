"""`skillrun ledger serve`, asked over HTTP: what it shows, and that nothing is changed, hidden or
let out by it.
"""

from __future__ import annotations

import csv
import io
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import exported
import helpers
import ledgers
import pytest
from served import IMAGE, SCRIPT, Served, filled, served
from stories import succeeded
from test_ledger_page import Reader

from skillrun.ledger.query import NamedQuery, Param, named_queries, run_query
from skillrun.ledger.store import Ledger

pytestmark = pytest.mark.real
LIST = "?_shape=array"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder?mode=rw&x=%41#")
    filled(folder / "ledger.db")
    return folder / "ledger.db"


@pytest.fixture(scope="module")
def server(ledger: Path) -> Iterator[Served]:
    with served(ledger) as running:
        yield running


def test_every_named_query_is_there_and_gives_the_same_rows(server: Served, ledger: Path) -> None:
    start = Reader(server.ask("/")[1]).text
    for name, query in named_queries().items():
        sentence = query.sentence.replace("`", "")
        assert sentence in start
        page = server.ask(f"/ledger/{name}")[1]
        assert sentence in Reader(page).text
        for param in (param for param in query.params if param.name != "tree"):
            assert f'name="{param.name}"' in page
            assert param.description in Reader(page).text
        expected = run_query(ledger, name)
        shown = server.rows(f"/ledger/{name}.json{LIST}")
        assert [tuple(row.values()) for row in shown] == [*expected.rows], name


def test_stale_successes_are_compared_with_the_files_at_hand(tmp_path: Path) -> None:
    repo = succeeded(tmp_path / "repo")
    address = f"/ledger/stale-successes.json{LIST}"

    def stale(server: Served, more: str = "") -> list[tuple[int, int]]:
        return [(row["changed_files"], row["gone_files"]) for row in server.rows(address + more)]

    with served(repo / ".skillrun" / "ledger.db") as server:
        assert stale(server) == []
        (repo / "a.py").write_text("other\n")
        assert stale(server) == [(1, 0)]
        (repo / "b.py").unlink()
        assert stale(server) == [(2, 1)]
        assert stale(server, "&repo=/other") == []
        page = Reader(server.ask("/ledger/stale-successes")[1]).text
        assert f"the files of {repo}" in page
    (tmp_path / "elsewhere").mkdir()
    with served(repo / ".skillrun" / "ledger.db", tmp_path / "elsewhere") as server:
        assert stale(server) == []
        page = Reader(server.ask("/ledger/stale-successes")[1]).text
        assert "with the latest content that any run saw" in page


def test_a_parameter_chooses(server: Served) -> None:
    jobs = {
        row["job"] for row in server.rows(f"/ledger/recent-runs.json{LIST}&skill={quote(SCRIPT)}")
    }
    assert jobs == {"javascript:alert(1)"}


def test_an_empty_parameter_has_its_default(tmp_path: Path) -> None:
    from skillrun.cli.web.metadata import _with_defaults

    sql = (
        "-- Sentence\n-- param: days 7 x\nSELECT ':days' AS a, :days AS b, -- :days\n:skill AS c,"
        " :daysx AS d;"
    )
    params = (Param("days", "it's 7", "x"), Param("skill", "", "y"))
    made = _with_defaults(NamedQuery("q", "Sentence", params, sql))
    with sqlite3.connect(":memory:") as db:
        assert db.execute(made, {"days": "", "skill": "", "daysx": ""}).fetchone() == (
            ":days",
            "it's 7",
            "",
            "",
        )
        assert db.execute(made, {"days": "3", "skill": "s", "daysx": "z"}).fetchone() == (
            ":days",
            "3",
            "s",
            "z",
        )


@pytest.mark.parametrize(
    ("table", "facets"),
    [
        ("run", {"skill", "actor_kind", "agent"}),
        ("run_status", {"outcome", "skill", "job"}),
        ("event", {"type", "stage", "outcome"}),
        ("telemetry", {"outcome", "skill", "actor_kind", "grade_min"}),
    ],
)
def test_tables_have_facets_and_the_words_of_the_dictionary(
    server: Served, table: str, facets: set[str]
) -> None:
    status, page, _ = server.ask(f"/ledger/{table}")
    assert status == 200
    for facet in facets:
        assert f'data-column="{facet}"' in page
        assert f"facet-{facet}" in page, facet
    assert '<dl class="column-descriptions">' in page
    assert "<dt>skill</dt>" in page or table == "event"


def test_a_run_has_its_page_and_links_lead_there(server: Served, ledger: Path) -> None:
    with Ledger.open(ledger, read_only=True) as opened:
        run_id = opened.runs()[-1]["run_id"]
    for place in ("/ledger/run_status", "/ledger/recent-runs", "/ledger/event?_sort=seq"):
        assert f'<a href="/run/{run_id}">' in server.ask(place)[1], place
    assert server.ask(f"/ledger/run/{run_id}")[2]["location"] == f"/run/{run_id}"
    status, page, headers = server.ask(f"/run/{run_id}")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for words in ("send-receipt", "celery.retry-all", "Stages over time"):
        assert words in page
    rows = server.rows(f"/ledger/event.json?run_id={run_id}&_shape=array")
    assert f'href="/ledger/event?run_id={run_id}"' in page
    assert len(rows) == 6
    assert server.ask("/run/dead")[0] == 404


def test_a_form_gives_the_sql_back_as_it_was(server: Served) -> None:
    text = "select 1 as one,\r\n\t'x' as letter"
    page = server.ask(f"/ledger?sql={quote(text)}")[1]
    assert text.replace("\r\n", "\n") in page.replace("&#39;", "'")


def test_a_row_has_the_whole_text(server: Served) -> None:
    (row,) = server.rows(
        "/ledger/event.json?type=invocation.ended&_size=1&_sort_desc=seq&_shape=array"
    )
    assert "x" * 900 in Reader(server.ask(f"/ledger/event/{row['seq']}")[1]).text
    assert "x" * 900 not in server.ask("/ledger/event")[1]


def test_new_rows_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    exported.filled(path)
    with served(path) as server:
        assert len(server.rows(f"/ledger/run.json{LIST}")) == 1
        with Ledger.open(path) as opened:
            new = ledgers.fill_run(opened, "later")
        assert server.rows(f"/ledger/run.json{LIST}")[0]["run_id"] == new
        assert "later" in server.ask(f"/run/{new}")[1]


def test_a_dead_writers_journal_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    exported.filled(path)
    with served(path) as server:
        assert len(server.rows(f"/ledger/run.json{LIST}")) == 1
        script = """import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = delete"); db.execute("PRAGMA cache_size = 1"); db.execute("BEGIN")
db.execute("CREATE TABLE big (x)")
db.executemany("INSERT INTO big VALUES (?)", [("y" * 3000,)] * 2000)
os._exit(0)"""
        done = subprocess.run([sys.executable, "-c", script, str(path)])
        assert done.returncode == 0
        assert path.with_name("ledger.db-journal").stat().st_size
        assert len(server.rows(f"/ledger/run.json{LIST}")) == 1
        assert "big" not in server.ask("/ledger")[1]


# -- nothing is changed


@pytest.mark.parametrize(
    "sql",
    (
        "DELETE FROM event",
        "WITH x AS (SELECT 1) DELETE FROM sink_cursor",
        "WITH x AS (SELECT 1) INSERT INTO sink_cursor VALUES ('x', 1, 1)",
        "SELECT 1; DROP TABLE run",
        "ATTACH '/tmp/other.db' AS other",
        "EXPLAIN ATTACH '/tmp/other.db' AS other",
        "PRAGMA user_version = 99",
        "SELECT load_extension('x')",
        "SELECT zeroblob(1000000000)",
        "VACUUM INTO '/tmp/copy.db'",
    ),
)
def test_sql_only_reads(server: Served, ledger: Path, sql: str) -> None:
    before = ledger.read_bytes()
    for path in (f"/ledger?sql={quote(sql)}", f"/ledger.json?sql={quote(sql)}"):
        assert server.ask(path)[0] == 400, path
    assert ledger.read_bytes() == before
    assert server.rows(
        f"/ledger.json?sql={quote('SELECT count(*) AS c FROM run')}&_shape=array"
    ) == [{"c": 3}]


def test_nothing_but_questions(server: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert server.ask("/ledger/recent-runs", method)[0] == 405
    assert server.ask("/ledger.db")[0] in (403, 404)
    assert "set-cookie" not in server.ask("/")[2]


# -- nothing gets out


def test_it_listens_on_the_loopback_address_alone(server: Served) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = {
        row[1] for row in listening if row[3] == "0A" and row[1].endswith(f":{server.port:04X}")
    }
    assert here == {f"0100007F:{server.port:04X}"}
    six = Path("/proc/net/tcp6")
    assert not six.exists() or f":{server.port:04X} 0000" not in six.read_text()


def test_only_its_own_names_are_answered(server: Served) -> None:
    for host in (
        "evil.example",
        f"evil.example:{server.port}",
        f"127.0.0.1.evil.example:{server.port}",
        "127.0.0.1:1",
    ):
        status, body, _ = server.ask("/ledger/run.json", host=host)
        assert status == 400
        assert "rows" not in body
    for host in (f"localhost:{server.port}", f"LOCALHOST:{server.port}"):
        assert server.ask("/", host=host)[0] == 200


def test_names_are_text_on_every_page(server: Served, ledger: Path) -> None:
    with Ledger.open(ledger, read_only=True) as opened:
        hostile = opened.runs()[0]["run_id"]
    places = ["/", "/ledger", f"/run/{hostile}", *(f"/ledger/{name}" for name in named_queries())]
    places += [
        f"/ledger/{table}" for table in ("run", "run_status", "event", "telemetry", "evidence")
    ]
    seen = ""
    for place in places:
        status, page, headers = server.ask(place)
        assert (status, headers["x-content-type-options"]) == (200, "nosniff")
        assert "connect-src 'self'" in headers["content-security-policy"]
        read = Reader(page)
        assert SCRIPT not in page
        assert IMAGE not in page
        assert not [
            a for tag, a in read.tags if tag == "a" and (a.get("href") or "/")[0] not in "/?#h"
        ]
        assert not [
            a for _, a in read.tags if (a.get("href") or "").lower().startswith("javascript")
        ]
        assert not {"\u202e", "\x1b"} & set(page), place
        seen += read.text
    assert SCRIPT in seen
    assert IMAGE + "\\u202e" in seen
    assert "\\u202e\\x1b[31m" in seen


def test_csv_has_no_formulas(server: Served) -> None:
    cells = ("=1+1", "@x", "+1+1", "-2", "-1+1", "a\r\nb", 'say "hi"', "\u202e=1")
    sql = "SELECT " + ", ".join(f"CAST(x'{cell.encode().hex()}' AS TEXT)" for cell in cells)
    for more in ("", "&_dl=1", "&_stream=1"):
        status, body, _ = server.ask(f"/ledger.csv?sql={quote(sql)}{more}")
        assert status == 200
        rows = list(csv.reader(io.StringIO(body, newline="")))
        assert rows[1:] == [
            ["'=1+1", "'@x", "'+1+1", "-2", "'-1+1", "a\\r\nb", 'say "hi"', "\\u202e=1"]
        ]
    long = quote("SELECT printf('%.200000c', 'x')")
    assert "x" * 200_000 in server.ask(f"/ledger.csv?sql={long}")[1]
    rows = list(
        csv.DictReader(io.StringIO(server.ask("/ledger/event.csv?_stream=1")[1], newline=""))
    )
    assert len(rows) == len(server.rows(f"/ledger/event.json{LIST}"))


# -- the command


def test_errors_are_one_line_and_leave_the_terminal_alone(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    with served(tmp_path / "ledger.db") as server:
        assert server.ask("/nowhere")[0] == 404
        assert server.ask("/ledger/nowhere.json")[0] == 404
        assert server.ask("/ledger?sql=select+%1B%5B31m")[0] == 400
        no_text = quote("SELECT json_extract('{}', cast(x'ff' AS text))")
        status, page, _ = server.ask(f"/ledger?sql={no_text}")
        assert status == 400 and "bad JSON path" in page and "damaged" not in page
        server.process.send_signal(signal.SIGINT)
        out, errors = server.process.communicate(timeout=30)
    assert (server.process.returncode, out, errors) == (0, "", "")


def test_ctrl_c_ends_a_long_query(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    endless = quote(
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c"
    )
    with served(tmp_path / "ledger.db") as server, ThreadPoolExecutor() as pool:
        server.ask("/ledger")
        answer = pool.submit(server.ask, f"/ledger.json?sql={endless}")
        time.sleep(1)
        server.process.send_signal(signal.SIGINT)
        out, errors = server.process.communicate(timeout=30)
        assert answer.result()[0] == 400
    assert (server.process.returncode, out, errors) == (0, "", "")


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = helpers.run_cli(
            "ledger", "serve", "--ledger", tmp_path / "ledger.db", "--port", port, cwd=tmp_path
        )
    assert done.returncode == 4
    assert (
        done.stderr.splitlines()[0]
        == f"skillrun: port {port} of 127.0.0.1 cannot be had: Address already in use"
    )
    done = helpers.run_cli(
        "ledger", "serve", "--ledger", tmp_path / "ledger.db", "--port", "70000", cwd=tmp_path
    )
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)


def test_no_ledger_is_said(tmp_path: Path) -> None:
    done = helpers.run_cli("ledger", "serve", "--ledger", "none.db", cwd=tmp_path)
    assert (done.returncode, "no ledger here yet" in done.stderr) == (4, True)
    assert not (tmp_path / "none.db").exists()


def test_a_missing_datasette_is_said(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    hidden = tmp_path / "hidden" / "sitecustomize.py"
    hidden.parent.mkdir()
    hidden.write_text("import sys\nsys.modules['datasette'] = None\n")
    env = {"PYTHONPATH": f"{hidden.parent}:{helpers.ROOT}"}
    done = helpers.run_cli(
        "ledger", "serve", "--ledger", tmp_path / "ledger.db", cwd=tmp_path, env=env
    )
    assert done.returncode == 3
    assert "pip install 'datasette>=0.65,<1'" in done.stderr
