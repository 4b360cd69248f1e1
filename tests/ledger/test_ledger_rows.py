"""Rows as CSV, Markdown, JSON and tables: nothing of a hostile ledger computes, breaks a table, or
hides.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import helpers
import pytest
from ledgers import run_start
from markdown_it import MarkdownIt
from stories import Story, succeeded

from skillrun.repo.tree import Tree
from skillrun.reports.rows import csv_text, markdown_text

HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "\uff1d1",
    "\r=1",
    "-2+3+cmd|' /C calc'!A0",
)


def test_csv_is_what_the_csv_module_reads() -> None:
    rows = [(1, -2.5, None, 'a "quoted", text', ""), (2, 0.0, "x", "two\nlines\u202e", "ü")]
    (names, *found) = csv.reader(io.StringIO(csv_text(("a", "b", "c", "d", "e"), rows)))
    assert names == ["a", "b", "c", "d", "e"]
    assert found == [
        ["1", "-2.5", "", 'a "quoted", text', ""],
        ["2", "0.0", "x", "two\\nlines\\u202e", "ü"],
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_of_a_csv_is_a_formula(text: str) -> None:
    for columns, rows in (((text,), []), (("a",), [(text,)])):
        cells = [cell for row in csv.reader(io.StringIO(csv_text(columns, rows))) for cell in row]
        assert cells[-1][0] in "'\\", cells
    assert csv_text(("a",), [("a=1",), ("1-2",), (-1,)]).splitlines()[1:] == ["a=1", "1-2", "-1"]


def test_markdown_renders_as_the_values_are() -> None:
    texts = [
        "a|b",
        "`code` *bold* _em_",
        "<b>html</b> &amp;",
        "[link](javascript:x)",
        "two\nlines",
        "\\| \\",
        "![i](u)",
    ]
    html = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render(markdown_text(("n", "te|xt"), list(enumerate(texts))))
    )
    assert html.count("<tr>") == len(texts) + 1
    assert html.count("<td") == 2 * len(texts)
    assert not any(tag in html for tag in ("<b>", "<code>", "<em>", "<strong>", "<a ", "<img"))
    assert "&lt;b&gt;html&lt;/b&gt; &amp;amp;" in html
    assert "two\\nlines" in html
    assert 'style="text-align:right"' in html


def test_a_table_without_rows() -> None:
    assert markdown_text(("a", "b"), []) == "| a | b |\n| --- | --- |"
    assert csv_text(("a", "b"), []) == "a,b"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "ledger.db"
    with Story(path) as story:
        story.ledger.start_run(run_start("=1+1", actor="eve|\x1b[31m\u202e"))
        story.run("plain", 1)
    return path


def run(ledger: Path, *args: str) -> str:
    done = helpers.run_cli("ledger", *args, "--ledger", ledger, cwd=ledger.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.real
def test_list_and_query_in_every_format(ledger: Path) -> None:
    for command in (["list"], ["query", "recent-runs"]):
        as_json = run(ledger, *command, "--json")
        assert as_json == run(ledger, *command, "--format", "json")
        assert len(json.loads(as_json) if command == ["list"] else json.loads(as_json)["rows"]) == 2
        assert run(ledger, *command) == run(ledger, *command, "--format", "table")
        rows = list(csv.DictReader(io.StringIO(run(ledger, *command, "--format", "csv"))))
        assert [(row["job"], row["actor"]) for row in rows] == [
            ("plain", "ada"),
            ("'=1+1", "eve|\\x1b[31m\\u202e"),
        ]
        lines = run(ledger, *command, "--format", "markdown").splitlines()
        assert len(lines) == 4
        assert "eve\\|\\\\x1b\\[31m\\\\u202e" in lines[-1]


def test_the_named_queries_in_every_format(ledger: Path) -> None:
    names = [
        row["query"] for row in csv.DictReader(io.StringIO(run(ledger, "query", "--format", "csv")))
    ]
    assert names == list(json.loads(run(ledger, "query", "--json")))
    assert len(run(ledger, "query", "--format", "markdown").splitlines()) == len(names) + 2


@pytest.mark.real
def test_a_cut_is_said_beside_the_rows(ledger: Path) -> None:
    args = (
        "ledger",
        "query",
        "SELECT job FROM run ORDER BY started_us DESC",
        "--limit",
        "1",
        "--ledger",
        ledger,
    )
    done = helpers.run_cli(*args, "--format", "csv", cwd=ledger.parent)
    assert (done.stdout, done.stderr) == (
        "job\nplain\n",
        "skillrun: the first 1 rows; --limit gives more\n",
    )
    assert helpers.run_cli(*args, cwd=ledger.parent).stdout.endswith(
        "(the first 1 rows; --limit gives more)\n"
    )


def test_json_and_another_format_do_not_go_together(ledger: Path) -> None:
    for given in (["--json", "--format", "csv"], ["--format", "yaml"]):
        done = helpers.run_cli("ledger", "list", *given, "--ledger", ledger, cwd=ledger.parent)
        assert (done.returncode, done.stdout) == (2, "")
        assert "--format" in done.stderr


@pytest.mark.real
def test_stale_successes_of_a_real_repository(tmp_path: Path) -> None:
    repo = succeeded(tmp_path / "repo")

    def stale() -> list[list[str]]:
        done = helpers.run_cli("ledger", "query", "stale-successes", "--format", "csv", cwd=repo)
        assert done.stderr == f"skillrun: compared with the files of {repo} as they are\n"
        rows = csv.DictReader(io.StringIO(done.stdout))
        return [[row["changed_files"], row["gone_files"], row["first_file"]] for row in rows]

    assert stale() == []
    (repo / "b.py").write_text("changed\n", encoding="utf-8")
    assert stale() == [["1", "0", "b.py"]]
    (repo / "a.py").unlink()
    assert stale() == [["2", "1", "a.py"]]
    elsewhere = helpers.run_cli(
        *(
            "ledger",
            "query",
            "stale-successes",
            "--format",
            "csv",
            "--ledger",
            repo / ".skillrun" / "ledger.db",
        ),
        cwd=tmp_path,
    )
    assert elsewhere.stderr == "skillrun: compared with the latest content that any run saw\n"
    assert len(elsewhere.stdout.splitlines()) == 1
    stats = json.loads(helpers.run_cli("ledger", "stats", "--json", cwd=repo).stdout)
    assert [f["value"] for f in stats["figures"] if f["name"] == "stale successes now"] == [1]


@pytest.mark.real
def test_the_ledger_is_not_written(ledger: Path) -> None:
    before = ledger.read_bytes()
    run(ledger, "stats")
    run(ledger, "query", "stale-successes")
    assert ledger.read_bytes() == before
    assert sqlite3.connect(ledger).execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.real
def test_a_new_file_matters_where_a_command_may_read_it_and_another_repository_does_not(
    tmp_path: Path,
) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"a.py": "one\n", ".gitignore": ".skillrun/\n"})
    other = helpers.build_tree(tmp_path / "other", {"a.py": "two\n"})
    everything = {
        "kind": "content",
        "name": "*",
        "digest": Tree(repo).hash_everything(),
        "files": {},
    }
    ledger = repo / ".skillrun" / "ledger.db"
    with Story(ledger) as story:
        for at in (0, 5):  # the second takes the place of the first
            run_id = story.run("a", at, repo=str(repo))
            story.stage(run_id, "validate", "passed", at, data={"lookups": [everything]})
            story.end(run_id, "success", at, repo=str(repo))

    def stale(cwd: Path) -> tuple[int, list[int | None]]:
        done = helpers.run_cli(
            "ledger", "query", "stale-successes", "--json", "--ledger", ledger, cwd=cwd
        )
        stats = json.loads(
            helpers.run_cli("ledger", "stats", "--json", "--ledger", ledger, cwd=cwd).stdout
        )
        figures = [
            figure["value"]
            for figure in stats["figures"]
            if figure["name"] == "stale successes now"
        ]
        return len(json.loads(done.stdout)["rows"]), figures

    assert stale(repo) == (0, [0])
    (repo / "new.py").write_text("\n", encoding="utf-8")
    assert stale(repo) == (2, [1])
    assert stale(other) == (0, [None])
