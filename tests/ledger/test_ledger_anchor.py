"""Anchors outside the file: published to real git notes, files and statements, and a forger is
found by them.
"""

from __future__ import annotations

import base64
import json
import multiprocessing
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from jsonschema import Draft202012Validator
from ledgers import fill_run, plain, triggers_away
from rows import real_but

from skillrun.core.errors import Misuse, Refused
from skillrun.ledger import chain
from skillrun.ledger.anchoring.files import read_file
from skillrun.ledger.anchoring.notes import REF, read_notes
from skillrun.ledger.anchoring.publish import (
    INTOTO,
    NOTE,
    PLAIN,
    find_anchors,
    name_of,
    publish_heads,
)
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import VerifyReport, verify_ledger
from skillrun.repo.git import open_repo


@pytest.fixture(scope="module")
def anchored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a ledger of three runs (9, 5 and 9 events), all anchored in a git note."""
    root = helpers.build_tree(tmp_path_factory.mktemp("anchored") / "repo", {"a.txt": "a\n"})
    with Ledger.open(root / ".skillrun" / "ledger.db") as ledger:
        for job, invocations in (("a", 2), ("b", 1), ("c", 2)):
            fill_run(ledger, job, invocations)
    publish_heads(root / ".skillrun" / "ledger.db", NOTE, repo=open_repo(root))
    return root


@pytest.fixture
def repo(anchored: Path, tmp_path: Path) -> Path:
    """The same, moved elsewhere with all it has: the name of the ledger is another one here."""
    return Path(shutil.copytree(anchored, tmp_path / "repo"))


def ledger_in(repo: Path) -> Path:
    return repo / ".skillrun" / "ledger.db"


def verified(repo: Path, *named: Path, path: Path | None = None) -> VerifyReport:
    """As the command does it."""
    path = path or ledger_in(repo)
    return verify_ledger(
        path, anchors=find_anchors(path, open_repo(repo), named), own=name_of(path)
    )


def runs_of(path: Path) -> list[str]:
    with plain(path) as db:
        return [run_id for (run_id,) in db.execute("SELECT run_id FROM run ORDER BY run_id")]


def told(report: VerifyReport) -> list[tuple[str | None, str, int | None]]:
    return [(problem.run_id, problem.table, problem.n) for problem in report.problems]


@pytest.mark.real
def test_an_untouched_ledger_is_held_up_to_its_heads(repo: Path) -> None:
    report = verified(repo)
    assert (report.integrity, report.completeness, report.problems) == ("whole", "complete", ())
    assert [(a.last_n, a.anchored_n, a.places) for a in report.anchors] == [
        (9, 9, (REF,)),
        (5, 5, (REF,)),
        (9, 9, (REF,)),
    ]
    assert len(report.limits) == 1
    with Ledger.open(ledger_in(repo)) as ledger:
        ledger.append(runs_of(ledger.path)[1], [NewEvent("x")])
    report = verified(repo)
    assert (report.problems, report.anchors[1].last_n, report.anchors[1].anchored_n) == ((), 6, 5)
    assert report.limits[0].startswith("1 run is not anchored up to the last event")


def test_without_an_anchor_one_line_says_so(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a.txt": "a\n"})
    with Ledger.open(ledger_in(root)) as ledger:
        fill_run(ledger)
    report = verified(root)
    assert (report.integrity, report.completeness) == ("whole", "complete")
    assert report.limits[0].startswith(
        "No anchor was found: a cut tail, a removed run and a whole rewrite could not"
    )
    assert report.anchors[0].anchored_n == 0


# Each is a forger's work with plain sqlite3, done so well that the file alone looks whole.


def no_memory(db: sqlite3.Connection) -> None:
    """What the ledger itself remembers of its anchors goes first."""
    db.execute("DELETE FROM anchor")


def cut_tail(db: sqlite3.Connection, run_id: str) -> None:
    no_memory(db)
    for table in ("evidence", "event"):
        db.execute(f"DELETE FROM {table} WHERE run_id = ? AND n > 5", [run_id])
    db.execute("DELETE FROM telemetry WHERE run_id = ? AND invocation = 2", [run_id])


def remove_run(db: sqlite3.Connection, run_id: str) -> None:
    no_memory(db)
    for table in ("evidence", "telemetry", "event", "run"):
        db.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])


def rewrite_run(db: sqlite3.Connection, run_id: str) -> None:
    """The run's second stage passed after all, and every hash from there on says so."""
    no_memory(db)
    db.execute("UPDATE event SET outcome = 'passed' WHERE run_id = ? AND n = 4", [run_id])
    rechain(db, run_id)


def rechain(db: sqlite3.Connection, run_id: str) -> None:
    prev = chain.GENESIS
    columns = ", ".join(chain.EVENT_COLUMNS)
    for row in db.execute(
        f"SELECT {columns} FROM event WHERE run_id = ? ORDER BY n", [run_id]
    ).fetchall():
        hash = chain.event_hash(prev, row)
        db.execute(
            "UPDATE event SET prev = ?, hash = ? WHERE run_id = ? AND n = ?",
            [prev, hash, run_id, row[1]],
        )
        prev = hash


def insert_in_the_middle(db: sqlite3.Connection, run_id: str) -> None:
    """A waiver that nobody gave, in the place of event 4; the later ones move up."""
    no_memory(db)
    db.execute("PRAGMA foreign_keys = OFF")
    for table in ("event", "evidence"):
        numbers = f"SELECT DISTINCT n FROM {table} WHERE run_id = ? AND n >= 4 ORDER BY n DESC"
        for (n,) in db.execute(numbers, [run_id]).fetchall():
            db.execute(f"UPDATE {table} SET n = n + 1 WHERE run_id = ? AND n = ?", [run_id, n])
    (seq,) = db.execute("SELECT seq FROM event WHERE run_id = ? AND n = 5", [run_id]).fetchone()
    for (later,) in db.execute(
        "SELECT seq FROM event WHERE seq >= ? ORDER BY seq DESC", [seq]
    ).fetchall():
        db.execute("UPDATE event SET seq = seq + 1 WHERE seq = ?", [later])
    values = [seq, run_id, 4, "waiver.given", 1, "{}", "", ""]
    db.execute(
        "INSERT INTO event (seq, run_id, n, type, ts_us, data, prev, hash) VALUES (?, ?, ?, ?, ?,"
        " ?, ?, ?)",
        values,
    )
    reseal(db, run_id)
    rechain(db, run_id)


def reseal(db: sqlite3.Connection, run_id: str) -> None:
    """The evidence has other numbers now, and its digests with them."""
    columns = ", ".join(chain.EVIDENCE_COLUMNS)
    for n, data in db.execute("SELECT n, data FROM event WHERE run_id = ?", [run_id]).fetchall():
        value = json.loads(data)
        rows = db.execute(
            f"SELECT {columns} FROM evidence WHERE run_id = ? AND n = ? ORDER BY i", [run_id, n]
        )
        if "evidence" in value.get("seal", {}):
            value["seal"]["evidence"] = chain.evidence_seal(rows.fetchall(), by_texts=True)
            text = json.dumps(value, sort_keys=True, separators=(",", ":"))
            db.execute("UPDATE event SET data = ? WHERE run_id = ? AND n = ?", [text, run_id, n])


def rewrite_evidence(db: sqlite3.Connection, run_id: str) -> None:
    no_memory(db)
    db.execute(
        "UPDATE evidence SET sha = ? WHERE run_id = ? AND n = 3 AND i = 1", ["e" * 64, run_id]
    )
    reseal(db, run_id)
    rechain(db, run_id)


def rewrite_telemetry(db: sqlite3.Connection, run_id: str) -> None:
    no_memory(db)
    db.execute(
        "UPDATE telemetry SET grade_min = 'proved' WHERE run_id = ? AND invocation = 2", [run_id]
    )
    columns = ", ".join(chain.TELEMETRY_COLUMNS)
    row = db.execute(
        f"SELECT {columns} FROM telemetry WHERE run_id = ? AND invocation = 2", [run_id]
    ).fetchone()
    seal = json.dumps(
        {"seal": {"telemetry": chain.telemetry_seal(row)}}, sort_keys=True, separators=(",", ":")
    )
    db.execute("UPDATE event SET data = ? WHERE run_id = ? AND n = 9", [seal, run_id])
    rechain(db, run_id)


def rewrite_run_row(db: sqlite3.Connection, run_id: str) -> None:
    no_memory(db)
    db.execute("UPDATE run SET actor = 'eve' WHERE run_id = ?", [run_id])
    row = db.execute(
        f"SELECT {', '.join(chain.RUN_COLUMNS)} FROM run WHERE run_id = ?", [run_id]
    ).fetchone()
    seal = json.dumps({"seal": {"run": chain.run_seal(row)}}, sort_keys=True, separators=(",", ":"))
    db.execute("UPDATE event SET data = ? WHERE run_id = ? AND n = 1", [seal, run_id])
    rechain(db, run_id)


def rename_run(db: sqlite3.Connection, run_id: str) -> None:
    """Under another id the run is a new one, and the anchored one is gone."""
    no_memory(db)
    db.execute("PRAGMA foreign_keys = OFF")
    other = run_id[:-4] + "ffff"
    for table in ("evidence", "telemetry", "event", "run"):
        db.execute(f"UPDATE {table} SET run_id = ? WHERE run_id = ?", [other, run_id])
    reseal(db, other)
    row = db.execute(
        f"SELECT {', '.join(chain.RUN_COLUMNS)} FROM run WHERE run_id = ?", [other]
    ).fetchone()
    seal = json.dumps({"seal": {"run": chain.run_seal(row)}}, sort_keys=True, separators=(",", ":"))
    db.execute("UPDATE event SET data = ? WHERE run_id = ? AND n = 1", [seal, other])
    columns = ", ".join(chain.TELEMETRY_COLUMNS)
    for row in db.execute(f"SELECT {columns} FROM telemetry WHERE run_id = ?", [other]).fetchall():
        seal = json.dumps(
            {"seal": {"telemetry": chain.telemetry_seal(row)}},
            sort_keys=True,
            separators=(",", ":"),
        )
        query = (
            "UPDATE event SET data = ? WHERE run_id = ? AND type = 'invocation.ended' AND"
            " invocation = ?"
        )
        db.execute(query, [seal, other, row[1]])
    rechain(db, other)


FORGERIES: dict[str, tuple[Callable[[sqlite3.Connection, str], None], str, int | None, bool]] = {
    # what is done, where it is seen: table and event, and whether something is missing
    "the tail is cut": (cut_tail, "event", 9, True),
    "a run is removed": (remove_run, "run", None, True),
    "a run is rewritten": (rewrite_run, "event", 9, False),
    "an event is inserted": (insert_in_the_middle, "event", 9, False),
    "evidence is rewritten": (rewrite_evidence, "event", 9, False),
    "telemetry is rewritten": (rewrite_telemetry, "event", 9, False),
    "the run's row is rewritten": (rewrite_run_row, "event", 9, False),
    "a run is given another id": (rename_run, "run", None, True),
}


@pytest.mark.parametrize("which", real_but([0, 2], 2))
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_that_looks_whole_is_found_by_the_anchor(
    repo: Path, name: str, which: int
) -> None:
    forge, table, n, missing = FORGERIES[name]
    run_id = runs_of(ledger_in(repo))[which]
    with triggers_away(ledger_in(repo)) as db:
        forge(db, run_id)
    alone = verify_ledger(ledger_in(repo))
    assert (alone.integrity, alone.completeness, alone.problems) == ("whole", "complete", ())
    report = verified(repo)
    assert told(report) == [(run_id, table, n)]
    assert (report.integrity, report.completeness) == (
        "broken",
        "incomplete" if missing else "complete",
    )
    assert REF in report.problems[0].what


def test_an_anchor_row_that_was_changed_is_found(repo: Path) -> None:
    run_id = runs_of(ledger_in(repo))[1]
    with triggers_away(ledger_in(repo)) as db:
        db.execute("UPDATE anchor SET hash = ? WHERE run_id = ?", ["0" * 64, run_id])
    assert told(verified(repo)) == [(run_id, "event", 5)]


def test_a_new_ledger_in_the_place_of_the_old_one_is_found(anchored: Path, tmp_path: Path) -> None:
    """Nothing in the file is of the old one; the place is."""
    kept = shutil.copy(ledger_in(anchored), tmp_path / "kept.db")
    try:
        before = runs_of(ledger_in(anchored))
        ledger_in(anchored).unlink()
        with Ledger.open(ledger_in(anchored)) as ledger:
            fill_run(ledger, "a")
        report = verified(anchored)
        assert told(report) == [(run_id, "run", None) for run_id in before]
        assert report.completeness == "incomplete"
    finally:
        shutil.copy(kept, ledger_in(anchored))


def test_notes_of_another_clone_are_no_alarm(repo: Path, tmp_path: Path) -> None:
    """The notes come with a fetch; the ledger of the other clone does not."""
    clone = tmp_path / "clone"
    helpers.git(tmp_path, "clone", "--quiet", str(repo), str(clone))
    helpers.git(clone, "fetch", "--quiet", "origin", f"{REF}:{REF}")
    with Ledger.open(ledger_in(clone)) as ledger:
        fill_run(ledger)
    report = verified(clone)
    assert (report.problems, report.notes) == (
        (),
        ("anchors speak of 3 more runs that another ledger has",),
    )


@pytest.mark.real
def test_two_clones_keep_each_others_notes(repo: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    helpers.git(tmp_path, "clone", "--quiet", str(repo), str(clone))
    for place in (repo, clone):
        with Ledger.open(ledger_in(place)) as ledger:
            fill_run(ledger)
        publish_heads(ledger_in(place), NOTE, repo=open_repo(place))
    theirs = "refs/notes/origin/skillrun"
    helpers.git(clone, "fetch", "--quiet", "origin", f"{REF}:{theirs}")
    helpers.git(clone, "notes", "--ref=skillrun", "merge", "--quiet", "-s", "cat_sort_uniq", theirs)
    lines = {anchor.line for anchor in read_notes(clone)}
    assert {anchor.line for anchor in read_notes(repo)} < lines
    # Three runs under two names (the folder was copied), one new one in each place.
    assert len(lines) == 8
    assert [len(anchor.places) for anchor in verified(clone).anchors] == [1]
    assert verified(clone).problems == verified(repo).problems == ()


def _publish(root: str) -> None:
    publish_heads(ledger_in(Path(root)), NOTE, repo=open_repo(Path(root)))


@pytest.mark.real
def test_six_at_once_lose_no_note(repo: Path, tmp_path: Path) -> None:
    """Worktrees of one repository, each with a ledger elsewhere, write the same note at the same
    moment.
    """
    roots = []
    for i in range(6):
        root = tmp_path / f"tree{i}"
        helpers.git(repo, "worktree", "add", "--quiet", "--detach", str(root))
        with Ledger.open(ledger_in(root)) as ledger:
            fill_run(ledger)
        roots.append(root)
    with multiprocessing.get_context("spawn").Pool(6) as pool:
        pool.map(_publish, map(str, roots))
    published = {anchor.run_id for anchor in read_notes(repo)}
    assert {run_id for root in roots for run_id in runs_of(ledger_in(root))} < published
    assert helpers.git(repo, "for-each-ref", "--format=%(refname)", "refs/notes") == REF


def test_a_note_of_somebody_else_stays(repo: Path) -> None:
    helpers.git(repo, "notes", "--ref=skillrun", "append", "-m", "seen by ada")
    with Ledger.open(ledger_in(repo)) as ledger:
        fill_run(ledger)
    assert publish_heads(ledger_in(repo), NOTE, repo=open_repo(repo)).new == 1
    assert "seen by ada" in helpers.git(repo, "notes", "--ref=skillrun", "show").splitlines()
    assert publish_heads(ledger_in(repo), NOTE, repo=open_repo(repo)).new == 0


def test_a_note_outlives_its_commit(repo: Path) -> None:
    helpers.git(repo, "commit", "--quiet", "--amend", "-m", "Other")
    assert verified(repo).anchors[0].anchored_n == 9


def test_a_branch_without_a_commit_takes_no_note(repo: Path) -> None:
    helpers.git(repo, "checkout", "--quiet", "--orphan", "new")
    with Ledger.open(ledger_in(repo)) as ledger:
        fill_run(ledger)
    with pytest.raises(Refused, match="no commit to put the note on"):
        publish_heads(ledger_in(repo), NOTE, repo=open_repo(repo))


@pytest.mark.parametrize("kind", [PLAIN, INTOTO])
def test_a_file_holds_the_heads_and_is_found_again(repo: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "heads"
    assert publish_heads(ledger_in(repo), kind, file=file).new == 3
    first = read_file(file)
    with Ledger.open(ledger_in(repo)) as ledger:
        fill_run(ledger, "d")
    publish_heads(ledger_in(repo), kind, file=file)
    assert {anchor.line for anchor in first} < {anchor.line for anchor in read_file(file)}
    assert all(str(file) in anchor.places for anchor in verified(repo).anchors)


def test_a_copy_for_an_auditor_is_judged_by_the_file_he_names(repo: Path, tmp_path: Path) -> None:
    file, copy = tmp_path / "heads", tmp_path / "elsewhere" / "ledger.db"
    publish_heads(ledger_in(repo), PLAIN, file=file)
    copy.parent.mkdir()
    shutil.copy(ledger_in(repo), copy)
    run_ids = runs_of(copy)
    with triggers_away(copy) as db:
        for run_id in run_ids:
            remove_run(db, run_id)
    assert verify_ledger(copy, own=name_of(copy)).problems == ()
    report = verify_ledger(copy, anchors=find_anchors(copy, None, [file]), own=name_of(copy))
    assert told(report) == [(run_id, "run", None) for run_id in run_ids]


def test_a_statement_is_valid_and_is_read_from_a_signers_envelope(
    repo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "heads.json"
    publish_heads(ledger_in(repo), INTOTO, file=file)
    value = json.loads(file.read_text())
    schema = json.loads((helpers.ROOT / "schemas" / "ledger-anchor.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(value["predicate"])) == []
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert value["predicateType"] == schema["$id"]
    payload = base64.b64encode(file.read_bytes()).decode()
    envelope = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": payload,
        "signatures": [{"sig": "eA=="}],
    }
    before = read_file(file)
    for wrapped in (envelope, {"mediaType": "x", "dsseEnvelope": envelope}):
        file.write_text(json.dumps(wrapped))
        assert read_file(file) == before
    value["subject"].pop()
    file.write_text(json.dumps(value))
    assert len(read_file(file)) == len(before) - 1, "what no subject vouches for was not signed"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "{",
        "{}",
        '{"_type": "x", "predicateType": "y"}',
        '{"payload": "%%"}',
        "[]",
        '{"payload": "e30="}',
    ],
)
def test_a_file_without_anchors_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "heads").write_text(text)
    with pytest.raises(Misuse, match="heads: "):
        read_file(tmp_path / "heads")
    with pytest.raises(Misuse, match="cannot be read"):
        read_file(tmp_path / "none")
    with pytest.raises(Misuse, match="not a file of anchors"):
        read_file(tmp_path)


def test_nothing_of_another_sort_is_overwritten(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes")
    with pytest.raises(Misuse):
        publish_heads(ledger_in(repo), INTOTO, file=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "my notes"
    publish_heads(ledger_in(repo), PLAIN, file=tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("my notes\nskillrun-anchor/1 ")
    with pytest.raises(Refused, match="cannot be written"):
        publish_heads(ledger_in(repo), PLAIN, file=tmp_path / "no" / "folder")
    with pytest.raises(Refused, match="cannot be written"):
        publish_heads(ledger_in(repo), INTOTO, file=tmp_path / "no" / "folder")


@pytest.mark.real
def test_the_command_line(repo: Path, tmp_path: Path) -> None:
    def run(*args: str, code: int = 0) -> str:
        done = helpers.run_cli("ledger", *args, cwd=repo)
        assert done.returncode == code, done.stderr
        return str(done.stdout + done.stderr)

    with Ledger.open(ledger_in(repo)) as ledger:
        fill_run(ledger, "d")
    assert "up to event 9 of 9  refs/notes/skillrun" in run("verify")
    assert "anchored: 3 of 4 runs up to their last event" in run("verify")
    assert "4 runs are anchored in refs/notes/skillrun, 1 of them anew" in run("anchor")
    assert (
        json.loads(run("anchor", "--to", "intoto", str(tmp_path / "a.json"), "--json"))["kind"]
        == "intoto"
    )
    assert "one place too many" in run("anchor", "--to", "git-note", "x", code=2)
    assert "no file" in run("anchor", "--to", "intoto", code=2)
    with triggers_away(ledger_in(repo)) as db:
        remove_run(db, runs_of(ledger_in(repo))[0])
    assert "the run is missing with all its rows; it was anchored in refs/notes/skillrun" in run(
        "verify", code=1
    )
    seen = json.loads(run("verify", "--json", "--anchors", str(tmp_path / "a.json"), code=1))
    assert (seen["completeness"], len(seen["anchors"])) == ("incomplete", 3)
