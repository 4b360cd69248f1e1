"""The page of a run: all that the ledger knows of it, escaped, in one file."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import exported
import helpers
import ledgers
import pytest
from rows import real_but

from skillrun.ledger.store import Ledger, NewEvent
from skillrun.reports.page.build import run_page
from skillrun.reports.page.findings import collect_findings
from skillrun.reports.page.lanes import draw_history
from skillrun.reports.page.stages import stage_rows

STEPS = [
    ("delivery 1", "began", "begins", 1.0),
    ("delivery 1", "performed", f"email takes place {exported.HOSTILE}", 1.0),
    ("delivery 1", "fault", "the process is killed after email#1", 1.0),
    ("delivery 2", "began", "begins", 3601.0),
    ("delivery 2", "settled", "the message is acknowledged", 3601.0),
    ("", "", "the job is still waiting", 3601.0),
]


def history(**changed: Any) -> dict[str, Any]:
    steps = [
        {
            "number": n,
            "at_s": at,
            "process": process,
            "text": text,
            "kind": kind,
            "path": "a.py",
            "line": 3,
        }
        for n, (process, kind, text, at) in enumerate(STEPS, 1)
    ]
    value = {
        "schedule": "kill@after:email#1",
        "family": "kill",
        "refuted": False,
        "rule": None,
        "message": None,
        "cause": None,
        "expected": None,
        "seen": None,
        "steps": steps,
    }
    return {**value, **changed}


def proof(**changed: Any) -> dict[str, Any]:
    value = {
        "verdict": "refuted",
        "handler": "shop.tasks:send",
        "library": "celery 5",
        "assumptions": ["time is virtual"],
        "bounds": "2 schedules",
        "schedules": {"total": 2, "families": {"kill": 1}},
        "histories": [history()],
    }
    return {**value, **changed}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    (run_id,) = exported.filled(path)
    refuted = history(
        refuted=True,
        message=f"email twice {exported.HOSTILE}",
        cause="no key",
        expected="1",
        seen="2",
    )
    with Ledger.open(path) as opened:
        event = exported.stage("idempotency", "failed", proof=proof(histories=[refuted, history()]))
        opened.append(run_id, [event])
    return path


class Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.real
def test_the_page_has_everything(ledger: Path) -> None:
    text = Reader(run_page(ledger, "0")).text
    for words in (
        "job-worker-orchestration",
        "send-receipt",
        "ada",
        "later",
        "celery.retry-all",
        "shop/tasks.py:3",
    ):
        assert words in text, words
    for words in (
        "email twice",
        "Cause:",
        "no key",
        "time is virtual",
        "kill@after:email#1",
        "the process is killed",
    ):
        assert words in text, words
    with Ledger.open(ledger, read_only=True) as opened:
        assert opened.head(opened.runs()[0]["run_id"])[1] in text
    assert "Each of the 7 events fits its hash" in re.sub(r"\s+", " ", text)


@pytest.mark.real
def test_nothing_hostile_gets_into_the_page(ledger: Path) -> None:
    page = run_page(ledger, "0")
    read = Reader(page)
    assert exported.HOSTILE.split("\u202e")[0] in read.text  # it is shown, as text
    assert not {"script", "iframe", "img", "object", "link", "form", "base"} & {
        tag for tag, _ in read.tags
    }
    assert not re.search("[\u202e\x1b\x00-\x08\x0b-\x1f]", page)
    assert "\\u202e\\x1b[31m" in read.text
    for tag, attributes in read.tags:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "href", "style")
        ], tag


@pytest.mark.real
@pytest.mark.parametrize(
    "text",
    real_but(
        ('"><script>x</script>', "'-->", "</style><script>x</script>", "{{ 7*7 }}", "&lt;b&gt;"),
        '"><script>x</script>',
        "&lt;b&gt;",
    ),
)
def test_names_are_text_wherever_they_stand(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as opened:
        names = {
            "skill": text,
            "skill_name": text,
            "job": text,
            "repo": text,
            "actor": text,
            "agent": text,
        }
        run_id = opened.start_run(
            ledgers.run_start(**names, host_id=text, runner_version=text, git_head=text)
        )
        result = {"findings": [exported.finding(text, path=text)], "summary": text}
        opened.append(run_id, [NewEvent("invocation.started", invocation=1)])
        opened.append(
            run_id,
            [NewEvent("stage.finished", text, 1, 5, text, invocation=1, data={"result": result})],
        )
    page = run_page(path, "0")
    read = Reader(page)
    assert not [tag for tag, _ in read.tags if tag == "script"]
    assert page.count("<style>") == page.count("</style>") == 1
    assert read.text.count(text) >= 8
    if text != "{{ 7*7 }}":
        assert text not in page


@pytest.mark.real
def test_it_needs_nothing_else(ledger: Path) -> None:
    page = run_page(ledger, "0")
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@pytest.mark.real
def test_an_altered_event_is_said(ledger: Path) -> None:
    with ledgers.triggers_away(ledger) as db:
        db.execute("UPDATE event SET outcome = 'passed' WHERE n = 5")
    text = re.sub(r"\s+", " ", Reader(run_page(ledger, "0")).text)
    assert "1 of 7 events do not fit their hashes, the first is event 5." in text


@pytest.mark.real
def test_runs_of_every_kind_have_a_page(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as opened:
        empty = opened.start_run(ledgers.run_start(job=None, git_head=None))
        plain = ledgers.fill_run(opened, invocations=30)
        died = opened.start_run(ledgers.run_start())
        opened.append(
            died, [NewEvent("invocation.started", invocation=1), exported.stage("retry", "blocked")]
        )
    assert "No invocation is recorded." in run_page(path, empty)
    assert "10 earlier invocations are not drawn." in run_page(path, plain)
    assert "1 invocation not ended" in run_page(path, died)


@pytest.mark.real
def test_an_imported_run_says_so(tmp_path: Path) -> None:
    from test_ledger_import import LINE, imported, written

    imported(written(tmp_path / "x.jsonl", LINE))
    text = Reader(run_page(tmp_path / "ledger.db", "0")).text
    for words in ("imported: another tool said so", LINE["intent"], "passed: tests", "pytest -q"):
        assert words in text, words


@pytest.mark.real
def test_the_command_writes_the_file_whole(ledger: Path) -> None:
    done = helpers.run_cli(
        "ledger", "show", "0", "--ledger", ledger, "--html", "page.html", cwd=ledger.parent
    )
    assert done.returncode == 0, done.stderr
    assert (ledger.parent / "page.html").read_text().rstrip().endswith("</html>")
    done = helpers.run_cli(
        "ledger", "show", "zz", "--ledger", ledger, "--html", "other.html", cwd=ledger.parent
    )
    assert (done.returncode, (ledger.parent / "other.html").exists()) == (2, False)
    done = helpers.run_cli(
        "ledger", "show", "0", "--ledger", ledger, "--html", "no/where.html", cwd=ledger.parent
    )
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)


# -- what is worked out


def event(n: int, invocation: int, stage: str, found: list[Any], **data: Any) -> dict[str, Any]:
    return {
        "n": n,
        "type": "stage.finished",
        "invocation": invocation,
        "stage": stage,
        "outcome": "failed",
        "ts_us": n * 100,
        "dur_us": 50,
        "data": {"result": {"findings": found, "grade": None}, **data},
    }


def test_a_finding_is_shown_once_with_its_beginning_and_end() -> None:
    one, two = exported.finding("one"), exported.finding("two", "note")
    excerpt = {"path": "shop/tasks.py", "line": 3, "first": 2, "lines": ["a", "b", "c"]}
    events = [
        event(1, 1, "retry", [two, one], excerpts=[excerpt]),
        event(2, 1, "tests", [one]),
        event(3, 2, "retry", [two]),
        event(4, 3, "retry", [two]),
    ]
    shown = collect_findings(
        events, {"stages": [{"id": "retry", "findings": [two, exported.finding("of the skill")]}]}
    )
    assert [(s.stage, s.finding["message"], s.first, s.gone) for s in shown] == [
        ("tests", "one", 1, None),
        ("retry", "of the skill", None, None),
        ("retry", "two", 1, None),
        ("retry", "one", 1, 2),
    ]
    assert shown[3].excerpt_lines == [(2, "a", False), (3, "b", True), (4, "c", False)]


def test_a_finding_that_comes_back_is_there_again() -> None:
    one = exported.finding("one")
    (shown,) = collect_findings(
        [event(1, 1, "a", [one]), event(2, 2, "a", []), event(3, 3, "a", [one])], {}
    )
    assert (shown.first, shown.gone) == (1, None)


def test_stages_are_placed_in_their_invocation() -> None:
    events = [
        {**event(1, 1, "a", []), "ts_us": 500, "dur_us": 500},
        {**event(2, 1, "b", []), "ts_us": 1000, "dur_us": 500},
    ]
    report = {
        "stages": [
            {"id": "a", "title": "A", "status": "passed", "grade": "static", "cached": False}
        ]
    }
    ended = {
        "n": 3,
        "type": "invocation.ended",
        "invocation": 1,
        "ts_us": 1000,
        "dur_us": 1000,
        "data": {"report": report},
    }
    first, second = stage_rows([*events, ended], [1, 2])
    assert (first.title, second.title) == ("A", "b")
    assert [(bar.left, bar.width) for bar in first.cells[0].bars] == [(0, 50)]
    assert [(bar.left, bar.width) for bar in second.cells[0].bars] == [(50, 50)]
    assert (first.cells[0].status, second.cells[0].status, first.cells[1].status) == (
        "passed",
        "failed",
        None,
    )


def test_a_stage_that_was_kept_stands_with_its_status() -> None:
    """The second invocation had nothing to do for it, and so wrote no event of it."""
    known = {"id": "a", "title": "A", "status": "passed", "grade": "static"}
    ended = []
    for number in (1, 2):
        report = {"stages": [{**known, "cached": number == 2}]}
        made = {**event(number + 1, number, "a", []), "type": "invocation.ended"}
        ended.append({**made, "ts_us": number * 1000, "dur_us": 1000, "data": {"report": report}})
    worked = {**event(1, 1, "a", []), "ts_us": 500, "dur_us": 500}
    (row,) = stage_rows([worked, *ended], [1, 2])
    kept = row.cells[1]
    assert (kept.status, kept.cached, kept.grade) == ("passed", True, "static")


def test_lanes_have_a_line_a_process_and_a_mark_a_step() -> None:
    found = draw_history(history())
    assert [lane.name for lane in found.lanes] == ["delivery 1", "delivery 2", "at the end"]
    assert [mark.shape for mark in found.marks] == [
        "step",
        "effect",
        "fault",
        "step",
        "settled",
        "step",
    ]
    assert len({mark.x for mark in found.marks}) == len(STEPS)
    assert [words for _, words in found.times] == ["+1 h"]
    assert len(found.switches) == 2
    assert all(0 < mark.x < found.width and 0 < mark.y < found.height for mark in found.marks)


def test_a_long_history_stays_apart_and_an_empty_one_is_drawn() -> None:
    step = history()["steps"][0]
    found = draw_history(history(steps=[{**step, "number": n} for n in range(1, 61)]))
    assert min(b.x - a.x for a, b in zip(found.marks, found.marks[1:], strict=False)) >= 15
    assert draw_history(history(steps=[])).marks == ()
