"""Every named query, asked of a ledger of which the answer is known, and of rows that must not
appear.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stories import DAY, Story, looked, report, sha, tree

from skillrun.core.errors import Misuse
from skillrun.ledger.query import named_queries, run_query

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with Story(tmp_path / "ledger.db") as told:
        yield told


@pytest.fixture
def ask(story: Story) -> Ask:
    """Asks by skillrun and by plain sqlite3, with the defaults and with NULL for what is not set;
    all must agree.
    """

    def asked(name: str, **params: str) -> list[dict[str, Any]]:
        result = run_query(story.path, name, params)
        query = named_queries()[name]
        for rest in (
            {p.name: p.default for p in query.params},
            {p.name: None for p in query.params},
        ):
            with contextlib.closing(sqlite3.connect(story.path)) as db:
                assert tuple(db.execute(query.sql, {**rest, **params}).fetchall()) == result.rows
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    return asked


def test_last_week(story: Story, ask: Ask) -> None:
    old = story.run("old", -20 * DAY)
    story.end(old, "success", -20 * DAY)
    went_on = story.run("went-on", -20 * DAY)
    story.end(went_on, "blocked", -20 * DAY)
    story.begin(went_on, -2 * DAY)
    story.dies(went_on, -DAY)
    still = story.run("still", -3 * DAY, agent="codex")
    done = story.run("done", -6.9 * DAY, skill="other/skill")
    story.end(done, "blocked", -6.9 * DAY, skill="other/skill")
    story.begin(done, -70)
    story.dies(done, -65)
    story.begin(done, -60)
    story.end(done, "success", -50, agent="claude", grade_min="proved")
    rows = {row["job"]: row for row in ask("last-week")}
    assert {job: row["outcome"] for job, row in rows.items()} == {
        "done": "success",
        "went-on": "died",
        "still": "not ended",
    }
    assert list(rows) == ["done", "went-on", "still"]
    assert (rows["done"]["invocations"], rows["done"]["agent"], rows["done"]["grade_min"]) == (
        3,
        "claude",
        "proved",
    )
    assert (rows["went-on"]["invocations"], rows["went-on"]["run_id"]) == (1, went_on)
    assert (rows["still"]["run_id"], rows["still"]["agent"]) == (still, "codex")
    assert [row["job"] for row in ask("last-week", days="2.5")] == ["done", "went-on"]
    assert [row["job"] for row in ask("last-week", days="30")] == [
        "done",
        "went-on",
        "still",
        "old",
    ]
    assert [row["job"] for row in ask("last-week", skill="other/skill")] == ["done"]


def test_weak_successes(story: Story, ask: Ask) -> None:
    def success(job: str, **more: Any) -> str:
        run_id = story.run(job)
        story.end(run_id, "success", 0, **more)
        return run_id

    success("static", data=report(a="static", b="executed", c=None), grade_min="static")
    success("stages only", data=report(a="proved", b="executed"), grade_min="static")
    success("nothing kept", grade_min="declared")
    success("no grade", grade_min=None)
    success("strong", grade_min="executed")
    partial = story.run("partial")
    story.end(partial, "partial", 0, data=report(a="static"), grade_min="static")
    mended = success("mended", data=report(a="static"), grade_min="static")
    story.begin(mended, 1)
    story.end(mended, "success", 1, data=report(a="proved"), grade_min="proved")
    fell = success("fell", grade_min="static")
    story.begin(fell, 1)
    story.end(fell, "blocked", 1, grade_min="static")
    again = story.run("again")
    n = story.end(again, "success", 0, data=report(a="declared"), grade_min="declared")
    story.begin(again, 2)
    story.end(again, "success", 2, data={"same_as": n}, grade_min="declared")
    rows = {row["job"]: row for row in ask("weak-successes")}
    assert rows.keys() == {"static", "nothing kept", "no grade", "again"}
    assert [rows["static"][k] for k in ("checks", "weak_checks", "which")] == [3, 2, "a, c"]
    assert [rows["again"][k] for k in ("checks", "weak_checks", "which")] == [1, 1, "a"]
    assert rows["nothing kept"]["which"] is None


def test_grades(story: Story, ask: Ask) -> None:
    for job, grade in enumerate(("proved", "proved", "static", "declared", None)):
        run_id = story.run(str(job))
        story.end(run_id, "success", 0, grade_min=grade)
    fell = story.run("fell")
    story.end(fell, "success", 0, grade_min="executed")
    story.begin(fell, 1)
    story.end(fell, "partial", 1, grade_min="executed")
    other = story.run("other", skill="other/skill")
    story.end(other, "success", 0, skill="other/skill", grade_min="executed")
    main = "backend/job-worker-orchestration"
    assert [tuple(row.values()) for row in ask("grades")] == [
        (main, 5, 2, 0, 1, 1, 1),
        ("other/skill", 1, 0, 1, 0, 0, 0),
    ]
    assert [row["skill"] for row in ask("grades", skill=main)] == [main]


def test_stale_successes_by_what_later_runs_saw(story: Story, ask: Ask) -> None:
    stale = story.run("stale")
    story.stage(stale, "handler", "passed", 1, saw={"a.py": "old", "b.py": "same"})
    story.end(stale, "success", 1)
    only_looked = story.run("only-looked")
    story.stage(only_looked, "handler", "passed", 1, data=looked("a.py", "old"))
    story.end(only_looked, "success", 1)
    elsewhere = story.run("elsewhere", repo="/other")
    story.stage(elsewhere, "handler", "passed", 1, saw={"a.py": "old"})
    story.end(elsewhere, "success", 1)
    followed = story.run("followed")  # its own later look knows better
    story.stage(followed, "identify", "passed", 1, saw={"a.py": "old"})
    story.stage(followed, "handler", "passed", 9, saw={"a.py": "new"})
    story.end(followed, "success", 9)
    redone = story.run("redone")
    story.stage(redone, "handler", "passed", 1, saw={"a.py": "old"})
    story.stage(redone, "handler", "passed", 10, saw={"a.py": "new", "b.py": "same"})
    story.end(redone, "success", 10)
    moved = story.run("moved")  # what its stage once saw and no longer looks at
    story.stage(moved, "handler", "passed", 1, saw={"a.py": "old"})
    story.stage(moved, "handler", "passed", 2, saw={"b.py": "same"})
    story.end(moved, "success", 2)
    blocked = story.run("blocked")
    story.stage(blocked, "handler", "blocked", 1, saw={"a.py": "old"})
    story.end(blocked, "blocked", 1)
    rows = {row["job"]: row for row in ask("stale-successes")}
    assert rows.keys() == {"stale", "only-looked"}
    counts = ("changed_files", "gone_files", "tree_changed", "first_file")
    assert [rows["stale"][k] for k in counts] == [1, 0, 0, "a.py"]
    assert [row["job"] for row in ask("stale-successes", job="stale")] == ["stale"]
    assert ask("stale-successes", repo="/other") == []


@pytest.mark.real
def test_stale_successes_by_the_files_as_they_are(story: Story, ask: Ask) -> None:
    first = story.run("a", 0)
    story.stage(first, "handler", "passed", 1, saw={"a.py": "one", "b.py": "same"})
    story.end(first, "success", 1)
    second = story.run("a", 5)
    content = {
        "kind": "content",
        "name": "*",
        "digest": "everything",
        "files": {"a.py": sha("two")[:16]},
    }
    story.stage(second, "handler", "passed", 6, saw={"a.py": "two"})
    story.stage(second, "validate", "passed", 6, data={"lookups": [content]})
    story.end(second, "success", 6)

    def asked(**params: str) -> dict[str, list[object]]:
        found = ask("stale-successes", **params)
        return {
            row["run_id"]: [row["changed_files"], row["gone_files"], row["tree_changed"]]
            for row in found
        }

    as_it_was = {**json.loads(tree(a_py="two", b_py="same")), "*": "everything"}
    assert asked(tree=json.dumps(as_it_was)) == {first: [1, 0, 0]}
    assert asked(tree=json.dumps(as_it_was), standing="1") == {}
    assert asked(tree=json.dumps({**as_it_was, "*": "a new file"})) == {
        first: [1, 0, 0],
        second: [0, 0, 1],
    }
    gone = {**json.loads(tree(b_py="same")), "*": "everything"}
    assert asked(tree=json.dumps(gone)) == {first: [1, 1, 0], second: [1, 1, 0]}
    assert asked(tree=json.dumps(gone), standing="1") == {second: [1, 1, 0]}


def test_blocking_stages(story: Story, ask: Ask) -> None:
    for job, seconds in (("one", 10), ("two", 20), ("three", 90)):
        run_id = story.run(job)
        story.stage(run_id, "contract", "blocked", 100)
        story.stage(run_id, "contract", "failed", 100 + seconds / 2)
        story.stage(run_id, "contract", "pending", 100 + seconds / 2)
        story.stage(run_id, "contract", "passed", 100 + seconds)
        story.stage(run_id, "identify", "passed", 100)
    again = story.run("again")
    for outcome, at in (("failed", 10), ("waived", 11), ("failed", 50)):
        story.stage(again, "retry", outcome, at)
    story.stage(again, "retry", "pending", 60)
    other = story.run("other", skill="other/skill")
    story.stage(other, "contract", "blocked", 0)
    rows = {
        row["stage"]: row
        for row in ask("blocking-stages", skill="backend/job-worker-orchestration")
    }
    numbers = (
        "runs",
        "blocked_runs",
        "failed_runs",
        "still_there",
        "stops",
        "median_s",
        "longest_s",
    )
    assert list(rows) == ["contract", "retry", "identify"]
    assert [rows["contract"][k] for k in numbers] == [3, 3, 3, 0, 3, 20.0, 90.0]
    assert [rows["retry"][k] for k in numbers] == [1, 0, 1, 1, 2, 1.0, 1.0]
    assert [rows["identify"][k] for k in numbers] == [3, 0, 0, 0, 0, None, None]
    assert rows["contract"]["waiting_since"] is None
    assert rows["retry"]["waiting_since"].endswith("Z")
    assert ask("blocking-stages")[0]["blocked_runs"] == 4


def test_flaky_validations(story: Story, ask: Ask) -> None:
    flaky, waited, mended = (story.run(job) for job in ("flaky", "waited", "mended"))
    for run_id, outcome, fingerprint in (
        *((flaky, "failed", "f1"), (flaky, "passed", "f1"), (flaky, "passed", "f1")),
        *((waited, "blocked", "f2"), (waited, "passed", "f2")),
        *((waited, "failed", "f5"), (waited, "blocked", "f5")),
        *((mended, "failed", "f3"), (mended, "passed", "f4")),
        *((mended, "failed", None), (mended, "passed", None)),
    ):
        story.stage(run_id, "validate", outcome, 1, fingerprint=fingerprint)
    elsewhere = story.run("elsewhere", host_id="another")
    story.stage(elsewhere, "validate", "passed", 2, fingerprint="f3")
    columns = (
        "job",
        "stage",
        "passed",
        "failed",
        "first_run",
        "last_run",
        "other_host",
        "fingerprint",
    )
    assert [[row[k] for k in columns] for row in ask("flaky-validations")] == [
        ["elsewhere", "validate", 1, 1, mended, elsewhere, 1, "f3"],
        ["flaky", "validate", 2, 1, flaky, flaky, 0, "f1"],
    ]
    assert ask("flaky-validations", skill="other/skill") == []


def test_retries(story: Story, ask: Ask) -> None:
    run_id = story.run("again")
    story.stage(run_id, "retry", "failed", 1, fingerprint="f1")
    story.stage(run_id, "handler", "passed", 1, fingerprint="g1")
    # Proved in the same invocation: no retry.
    story.stage(run_id, "handler", "passed", 1, fingerprint="g2")
    story.begin(run_id, 2)
    story.stage(run_id, "retry", "failed", 2, fingerprint="f1")
    story.stage(run_id, "retry", "passed", 3, fingerprint="f2")
    for code in (1, 0):
        story.says(run_id, "implement.attempt", 4, exit_code=code)
    once = story.run("once")
    story.stage(once, "retry", "failed", 1, fingerprint="f1")
    story.says(once, "implement.attempt", 4, exit_code=0)
    columns = ("what", "times", "inputs", "unchanged", "first_outcome", "last_outcome")
    assert [[row[k] for k in columns] for row in ask("retries")] == [
        ["retry", 3, 2, 1, "failed", "passed"],
        ["implement.attempt", 2, None, None, "exit 1", "exit 0"],
    ]
    assert ask("retries", job="once") == []


def test_time_to_success(story: Story, ask: Ask) -> None:
    def stopped(
        job: str, seconds: float | None, *, framework: str | None = "celery", **row: Any
    ) -> None:
        run_id = story.run(job)
        if framework:
            facts = {"result": {"facts": {"framework": framework}}}
            story.stage(run_id, "identify", "passed", 5, data=facts)
        story.stage(run_id, "retry", "blocked", 10)
        story.end(run_id, "blocked", 11)
        if seconds is not None:
            story.begin(run_id, 12)
            story.end(run_id, "success", 10 + seconds, **row)
            story.begin(run_id, 1000)
            story.end(run_id, "success", 1001, **row)

    stopped("one", 20, agent="claude")
    stopped("two", 50, agent="claude")
    stopped("three", 40)
    stopped("four", None)
    stopped("five", 7, framework=None)
    fell = story.run("fell", skill="other/skill")  # it had succeeded before its first stop
    story.end(fell, "success", 5, skill="other/skill")
    story.begin(fell, 9)
    story.stage(fell, "retry", "failed", 10)
    story.end(fell, "partial", 11, skill="other/skill")
    smooth = story.run("smooth")
    story.stage(smooth, "retry", "passed", 1)
    story.end(smooth, "success", 2)
    numbers = (
        "agent",
        "framework",
        "stopped_runs",
        "succeeded",
        "not_yet",
        "median_s",
        "longest_s",
    )
    assert [
        [row[k] for k in numbers]
        for row in ask("time-to-success", skill="backend/job-worker-orchestration")
    ] == [
        [None, "celery", 2, 1, 1, 40.0, 40.0],
        ["claude", "celery", 2, 2, 0, 35.0, 50.0],
        [None, None, 1, 1, 0, 7.0, 7.0],
    ]
    (row,) = ask("time-to-success", skill="other/skill")
    assert (row["stopped_runs"], row["succeeded"], row["not_yet"]) == (1, 0, 1)
    assert len(ask("time-to-success")) == 4


def test_skill_versions(story: Story, ask: Ask) -> None:
    for sha_, outcomes in (
        ("1" * 64, ("blocked", "success")),
        ("1" * 64, ("partial",)),
        ("2" * 64, ("success",)),
    ):
        run_id = story.run(skill_sha=sha_, at=-5 if sha_[0] == "1" else 0)
        for number, outcome in enumerate(outcomes):
            if number:
                story.begin(run_id, 1)
            story.end(run_id, outcome, 1)
    story.run(skill_sha="2" * 64, at=1)
    story.run(skill_sha="3" * 64, skill="other/skill", at=-9)
    numbers = (
        "version",
        "runs",
        "success",
        "partial",
        "blocked",
        "not_ended",
        "at_first_try",
        "success_percent",
    )
    rows = ask("skill-versions")
    assert [[row[k] for k in numbers] for row in rows] == [
        ["2" * 12, 2, 1, 0, 0, 1, 1, 50.0],
        ["1" * 12, 2, 1, 1, 0, 0, 0, 50.0],
        ["3" * 12, 1, 0, 0, 0, 1, 0, 0.0],
    ]
    assert len(ask("skill-versions", skill="other/skill")) == 1


def test_timeline(story: Story, ask: Ask) -> None:
    first, second = story.run("first"), story.run("second")
    story.stage(first, "retry", "failed", 3, dur_us=2500)
    rows = ask("timeline", run=first)
    assert [(row["n"], row["type"], row["outcome"], row["ms"]) for row in rows] == [
        (1, "run.started", None, None),
        (2, "invocation.started", None, None),
        (3, "stage.finished", "failed", 2.5),
    ]
    assert {row["run_id"] for row in ask("timeline")} == {second}
    assert {row["run_id"] for row in ask("timeline", run=first[:-1])} == {first}
    assert {row["run_id"] for row in ask("timeline", run=first[:6])} == {first, second}
    assert ask("timeline", run="zzz") == []


def test_older_queries_take_null_for_what_is_not_set(story: Story, ask: Ask) -> None:
    run_id = story.run("a")
    story.stage(run_id, "retry", "passed", 1)
    story.says(run_id, "waiver.given", 2, data={"item": "tests", "reason": "none", "by": "ada"})
    for name in ("recent-runs", "waivers", "stage-times", "interrupted-invocations"):
        assert len(ask(name)) == 1, name
    assert (
        ask("recent-runs", job="b")
        == ask("waivers", job="b")
        == ask("stage-times", skill="b")
        == []
    )


def test_a_number_must_be_one(story: Story) -> None:
    with pytest.raises(Misuse, match="days: 'week' is no number"):
        run_query(story.path, "last-week", {"days": "week"})
    assert run_query(story.path, "last-week", {"days": "0.5"}).rows == ()


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 shell on PATH")
@pytest.mark.parametrize("name", named_queries())
def test_the_shell_of_sqlite_runs_every_query(story: Story, name: str) -> None:
    """As docs/ledger.md says: parameters that are not set are NULL."""
    run_id = story.run("a")
    story.stage(run_id, "retry", "failed", 1, saw={"a.py": "x"}, fingerprint="f")
    story.end(run_id, "success", 2, grade_min="static")
    commands = [
        ".param init",
        ".param set :skill backend/job-worker-orchestration",
        ".param set :days 3",
        ".mode json",
    ]
    query = Path(__file__).parents[2] / "ledger" / "queries" / f"{name}.sql"
    script = "\n".join([*commands, f".read {query}", ""])
    done = subprocess.run(["sqlite3", story.path], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    result = run_query(story.path, name)
    expected = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
    assert json.loads(done.stdout or "[]") == expected


def proved(verdict: str, *findings: dict[str, Any], risks: int = 0) -> dict[str, Any]:
    """The data of a stage with a proof and what it found."""
    proof = {
        "verdict": verdict,
        "handler": "shop.tasks:send",
        "library": "celery 5",
        "bounds": "12 schedules",
        "schedules": {"total": 12},
        "risks": [{"rule": "broker-lost"}] * risks,
    }
    return {"proof": proof, "result": {"findings": list(findings)}}


WITNESS = {
    "rule": "proof.effect.repeated",
    "severity": "error",
    "message": "send took place twice",
    "path": "shop/tasks.py",
    "line": 7,
    "hint": "see it happen",
}


def test_which_success_was_really_proved_and_what_refuted_it_before(story: Story, ask: Ask) -> None:
    read = story.run("read", -50)
    story.stage(read, "handler", "passed", -49, data={"result": {"findings": []}})
    story.end(read, "success", -48)
    run = story.run("sent", -40)
    story.stage(run, "handler", "failed", -39, data=proved("refuted", WITNESS))
    story.end(run, "blocked", -38)
    story.begin(run, -30)
    consent = {"how": "--trust", "commands": ["make test"]}
    story.says(run, "consent.given", -29, data=consent, actor="bo", actor_kind="agent")
    story.stage(run, "handler", "passed", -28, data=proved("proved", risks=1))
    story.end(run, "success", -27)
    rows = {row["job"]: row for row in ask("proved-successes")}
    assert (rows["read"]["verdict"], rows["read"]["on_whose_word"]) == ("not proved", None)
    sent = rows["sent"]
    assert (sent["verdict"], sent["schedules"], sent["risks"]) == ("proved", 12, 1)
    assert sent["on_whose_word"] == "consent by agent"
    (refuted,) = ask("refutations")
    assert (refuted["job"], refuted["rule"]) == ("sent", "proof.effect.repeated")
    assert (refuted["path"], refuted["line"], refuted["runs"]) == ("shop/tasks.py", 7, 1)
    assert ask("refutations", job="read") == []
    assert [row["by_whom"] for row in ask("decisions", kind="agent")] == ["bo"]
    assert ask("decisions", kind="human") == []


def test_the_risks_of_the_latest_report(story: Story, ask: Ask) -> None:
    run = story.run("sent", -40)
    lost = {"rule": "broker-lost", "grade": "lost", "message": "m", "closes": "c", "accepted": None}
    story.end(run, "partial", -38, data={"report": {"risks": [lost]}})
    story.begin(run, -30)
    accepted = {**lost, "accepted": "a sweep is coming"}
    story.end(run, "success", -29, data={"report": {"risks": [accepted]}})
    (told,) = ask("open-risks")
    assert (told["risk"], told["accepted"]) == ("broker-lost", "a sweep is coming")
    assert ask("open-risks", job="other") == []


def test_what_the_spec_said_then(story: Story, ask: Ask) -> None:
    run = story.run("sent", -40)
    other = story.run("other", -35)
    said = {"spec": {"sha256": "a" * 64, "text": "version: 1"}}
    story.says(run, "invocation.started", -30, data=said)
    (row,) = ask("spec-then")
    assert (row["run_id"], row["text"]) == (run, "version: 1")
    assert ask("spec-then", run=other) == []
