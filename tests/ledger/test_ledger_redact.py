"""A secret in an output is taken out for good; every hash stays true, and nothing else may hide
behind it.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import helpers
import pytest
from ledgers import plain, run_start, telemetry, triggers_away
from rows import real_but

from skillrun.core.canonical import canonical
from skillrun.core.errors import Misuse, Refused
from skillrun.ledger import texts
from skillrun.ledger.redact import Redaction, Wanted, redact
from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent
from skillrun.ledger.verify import verify_ledger

SECRET = "hunter2-is-the-password-of-the-production-database"
TAIL = f"E   AssertionError: connecting with {SECRET} failed: no route to host\n" * 40
STORED = Path(__file__).with_name("stored") / "v1.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """One run; its third event holds the secret in a finding, in the result's evidence, and in the
    evidence's row.
    """
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        run_id = ledger.start_run(run_start())
        ledger.append(run_id, [NewEvent("invocation.started", invocation=1)])
        detail = {"kind": "test", "exit_code": 1, "tail": TAIL}
        finding = {
            "rule": "validate.test-failed",
            "message": f"test failed: {TAIL[:150]}",
            "severity": "error",
        }
        result = {
            "findings": [finding],
            "evidence": [{"detail": detail}],
            "facts": {"note": "n" * 70},
        }
        data = {
            "result": result,
            "lookups": [["file", "p" * 90, "d" * 64]],
            "basis": {"skill": "5" * 64},
        }
        ledger.append(
            run_id,
            [NewEvent("stage.finished", "validate", outcome="failed", data=data)],
            evidence=[
                EvidenceRow("command", "make test", "c" * 64, len(TAIL), None, detail),
                EvidenceRow("file", "a.py", "a" * 64, 1),
            ],
        )
        ended = NewEvent("invocation.ended", invocation=1)
        ledger.append(run_id, [ended], telemetry=telemetry(run_id, 1, outcome="partial"))
    return tmp_path / "ledger.db"


def take_out(
    path: Path, n: int | None = 3, secret: str | None = None, *, dry_run: bool = False
) -> dict[str, int]:
    """Digest -> length of the texts that went."""
    done = redacted(path, n, secret, dry_run=dry_run)
    return {digest: size for gone in done.texts.values() for digest, size in gone.items()}


def redacted(path: Path, n: int | None, secret: str | None, *, dry_run: bool = False) -> Redaction:
    with Ledger.open(path, read_only=True) as ledger:
        run_id = ledger.runs()[0]["run_id"]
    how = {"reason": "a password", "actor": "ada", "actor_kind": "human"}
    return redact(path, run_id, Wanted(n, secret), **how, dry_run=dry_run)


def test_the_secret_is_gone_from_the_file_and_every_hash_holds(path: Path) -> None:
    with plain(path) as db:
        before = db.execute("SELECT n, prev, hash FROM event").fetchall()
    assert SECRET.encode() in path.read_bytes()
    assert len(take_out(path)) == 2
    assert SECRET.encode() not in path.read_bytes()
    with plain(path) as db:
        assert db.execute("SELECT n, prev, hash FROM event").fetchall()[:-1] == before
    report = verify_ledger(path)
    assert (report.integrity, report.completeness, report.problems) == ("whole", "complete", ())
    assert (
        "2 texts were taken out by a redaction that is on record; the hashes hold" in report.notes
    )
    with plain(path) as db, pytest.raises(Exception, match="append-only"):
        db.execute("UPDATE event SET data = '{}'")


def test_what_else_the_event_says_stays(path: Path) -> None:
    take_out(path)
    with Ledger.open(path, read_only=True) as ledger:
        (run,) = ledger.runs()
        (event,) = ledger.events(run["run_id"], type="stage.finished")
        command, _ = ledger.evidence(run["run_id"])
        (said,) = ledger.events(run["run_id"], type="output.redacted")
    result = event["data"]["result"]
    assert result["findings"][0]["message"].startswith("[redacted sha256:")
    assert (result["facts"], result["findings"][0]["rule"]) == (
        {"note": "n" * 70},
        "validate.test-failed",
    )
    assert event["data"]["lookups"] == [["file", "p" * 90, "d" * 64]]
    assert command["detail"] == {**result["evidence"][0]["detail"], "kind": "test", "exit_code": 1}
    assert command["detail"]["tail"] == f"[redacted sha256:{texts.digest_of(TAIL)}]"
    assert (said["data"]["events"], said["data"]["reason"], said["actor"]) == (
        [3],
        "a password",
        "ada",
    )


@pytest.mark.real
def test_a_redacted_event_is_still_protected(path: Path) -> None:
    take_out(path)
    for change in (
        "UPDATE event SET data = replace(data, 'test-failed', 'test-passed') WHERE n = 3",
        "UPDATE event SET data = replace(data, 'sha256:', 'sha256: ') WHERE n = 3",
        "UPDATE event SET data = replace(data, ',', ', ') WHERE n = 3",
        "UPDATE evidence SET detail = json_set(detail, '$.exit_code', 0) WHERE i = 1",
        "UPDATE evidence SET detail = json_set(detail, '$.tail', 'all is well') WHERE i = 1",
    ):
        with triggers_away(path) as db:
            kept = db.execute(
                "SELECT (SELECT data FROM event WHERE n = 3), (SELECT detail FROM evidence WHERE i"
                " = 1)"
            )
            data, detail = kept.fetchone()
            db.execute(change)
        assert verify_ledger(path).integrity == "broken", change
        with triggers_away(path) as db:
            db.execute("UPDATE event SET data = ? WHERE n = 3", [data])
            db.execute("UPDATE evidence SET detail = ? WHERE i = 1", [detail])
    assert verify_ledger(path).problems == ()


@pytest.mark.parametrize("table, column", [("event", "data"), ("evidence", "detail")])
def test_a_text_that_is_gone_without_a_word_is_found(path: Path, table: str, column: str) -> None:
    with triggers_away(path) as db:
        (text,) = db.execute(f"SELECT {column} FROM {table} WHERE n = 3").fetchone()
        value = texts.take_out(json.loads(text), [texts.digest_of(TAIL)])
        db.execute(
            f"UPDATE {table} SET {column} = ? WHERE n = 3 AND {column} = ?",
            [json.dumps(value, sort_keys=True, separators=(",", ":")), text],
        )
    (problem,) = verify_ledger(path).problems
    assert (problem.table, problem.n) == ("event", 3)
    assert "no event says who redacted them" in problem.what


def test_a_long_text_is_protected_as_before(path: Path) -> None:
    with triggers_away(path) as db:
        db.execute(
            "UPDATE evidence SET detail = json_set(detail, '$.tail', ?) WHERE i = 1", [TAIL.upper()]
        )
    assert [(p.table, p.n) for p in verify_ledger(path).problems] == [("evidence", 3)]


def test_an_output_that_looks_like_a_mark_is_no_mark(tmp_path: Path) -> None:
    mark = f"[redacted sha256:{'a' * 64}]"
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        run_id = ledger.start_run(run_start())
        ledger.append(run_id, [NewEvent("x", data={"tail": mark})])
        ledger.append(
            run_id,
            [NewEvent("y")],
            evidence=[EvidenceRow("command", "x", "c", 1, None, {"tail": mark})],
        )
        assert ledger.events(run_id, type="x")[0]["data"]["tail"] == f"{mark} "
    assert verify_ledger(tmp_path / "ledger.db").problems == ()


@pytest.mark.parametrize(
    "text",
    real_but(
        ["ü" * 65, "\udc80" * 65, "\x00\u2028'\"\\" * 20, "😀" * 65, "x" * 200_000],
        "\udc80" * 65,
        "\x00\u2028'\"\\" * 20,
    ),
)
def test_any_text_will_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = ledger.start_run(run_start())
        evidence = [EvidenceRow("command", "x", "c", 1, None, {"tail": text, "number": 1.5})]
        ledger.append(
            run_id, [NewEvent("x", data={"list": [text, {"deep": text}]})], evidence=evidence
        )
    assert verify_ledger(path).problems == ()
    assert list(take_out(path, 2).values()) == [len(text)]
    assert verify_ledger(path).problems == ()


@pytest.mark.real
def test_all_texts_of_a_run_with_the_secret_in_them_go_and_no_others(path: Path) -> None:
    """Also where it stands in another event; short texts and paths are said, as a hash covers
    them.
    """
    other = "a report of seventy characters, in which there is no secret whatsoever"
    with Ledger.open(path) as ledger:
        run_id = ledger.runs()[0]["run_id"]
        again = f"it was said once more, in another event, later on: {SECRET}"
        ledger.append(
            run_id,
            [NewEvent("x", data={"lookups": [again], "other": other, "short": f"pw {SECRET}"})],
        )
        ledger.append(
            run_id, [NewEvent("y")], evidence=[EvidenceRow("command", f"login {SECRET}", "c" * 64)]
        )
        ledger.append(run_id, [NewEvent("z", data={"other": other})])
    done = redacted(path, None, SECRET)
    assert {n: len(gone) for n, gone in done.texts.items()} == {3: 2, 5: 1}
    assert done.left == (5, 6)
    with Ledger.open(path, read_only=True) as ledger:
        data = ledger.events(run_id, type="x")[0]["data"]
    assert (data["lookups"], data["other"]) == (
        [f"[redacted sha256:{texts.digest_of(again)}]"],
        other,
    )
    assert verify_ledger(path).problems == ()
    with pytest.raises(Misuse, match="no such text"):
        redacted(path, None, "another secret")


def test_a_dry_run_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    assert take_out(path, dry_run=True)
    assert path.read_bytes() == before
    assert take_out(path).keys() == {
        texts.digest_of(TAIL),
        texts.digest_of(f"test failed: {TAIL[:150]}"),
    }


def test_what_cannot_be_redacted_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no event 99"):
        take_out(path, 99)
    with pytest.raises(Misuse, match="no such text of more than 64 characters"):
        take_out(path, 2)
    take_out(path)
    with pytest.raises(Misuse, match="no such text of more than 64 characters"):
        take_out(path)
    old = tmp_path / "v1.db"
    old.write_bytes(STORED.read_bytes())
    with pytest.raises(Refused, match="when a hash still covered the texts themselves"):
        take_out(old)
    with pytest.raises(Refused, match="when a hash still covered the texts themselves"):
        take_out(old, None, "test_invoice.py::test_sent")
    assert verify_ledger(old).problems == ()


@pytest.mark.real
def test_the_command_line(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path, read_only=True) as ledger:
        run_id = ledger.runs()[0]["run_id"]

    def run(*args: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        done = helpers.run_cli(
            "ledger", "redact", run_id[:20], *args, "--ledger", path, cwd=tmp_path, env=env
        )
        assert done.returncode == code, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "--reason is missing" in run("3", code=2)
    assert "which texts?" in run(code=2)
    agent, before = {"CLAUDECODE": "1", "SKILLRUN_ACTOR": "human:ada"}, path.read_bytes()
    assert "redact: claude-code is an agent" in run(
        "3", "--reason", "a password", code=4, env=agent
    )
    assert "nothing was changed" in run("3", "--dry-run", env=agent)
    assert path.read_bytes() == before
    (tmp_path / "empty").touch()
    assert "fewer than 4 characters" in run("--containing", "empty", "--dry-run", code=2)
    assert "cannot be read" in run("--containing", "none", "--dry-run", code=2)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    assert "these were taken out; the hashes hold" in run(
        "--containing", "secret", "--reason", "a password"
    )


@pytest.mark.real
def test_what_a_hash_covers_is_what_the_data_dictionary_says() -> None:
    """On the text it is done by cutting at quotes; here by parsing. Odd strings, keys and escapes
    of all kinds.
    """
    random = Random(1)
    alphabet = 'a"\\\n\t:{},[]é\udc80😀\x00/ '

    def string() -> str:
        return "".join(
            random.choices(alphabet, k=random.choice([0, 3, 60, 63, 64, 65, 66, 67, 80, 200]))
        )

    def value(depth: int = 0) -> Any:
        kind = random.randrange(6 if depth < 4 else 4)
        if kind == 4:
            return [value(depth + 1) for _ in range(random.randrange(4))]
        if kind == 5:
            return {string(): value(depth + 1) for _ in range(random.randrange(4))}
        return random.choice(
            [string(), string(), None, True, 1, -2.5, 1e300, f"[redacted sha256:{'a' * 64}]"]
        )

    def shortened(value: Any) -> Any:
        if isinstance(value, str):
            return f"sha256:{texts.digest_of(value)}" if len(value) > 64 else value
        if isinstance(value, list):
            return [shortened(member) for member in value]
        return (
            {key: shortened(member) for key, member in value.items()}
            if isinstance(value, dict)
            else value
        )

    for _ in range(2000):
        text = canonical(value()).decode()
        assert texts.hashed_text(text) == canonical(shortened(json.loads(text))).decode()
