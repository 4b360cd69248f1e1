"""What is redacted after it was shipped goes from the database and from its local copies; nothing
else can go so.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import psycopg
import pytest
from ledgers import plain, triggers_away
from test_ledger_mirror import cache  # noqa: F401
from test_ledger_redact import SECRET, TAIL, path, redacted  # noqa: F401

from skillrun.ledger.shipping.mirror import refresh_mirror
from skillrun.ledger.shipping.server import hide_secrets
from skillrun.ledger.shipping.ship import ship_ledger
from skillrun.ledger.verify import verify_ledger


def secrets_there(url: str) -> int:
    texts = "SELECT data AS text FROM skillrun.event UNION ALL SELECT detail FROM skillrun.evidence"
    with psycopg.connect(url) as far:
        row = far.execute(
            f"SELECT count(*) FROM ({texts}) AS t WHERE position(%s in text) > 0", (SECRET,)
        ).fetchone()
        assert row
        return int(row[0])


@pytest.mark.real
def test_the_secret_goes_with_the_next_ship(url: str, path: Path, tmp_path: Path) -> None:  # noqa: F811
    assert redacted(path, 3, None, dry_run=True).receivers == ()
    ship_ledger(path, url)
    copy = refresh_mirror(url)
    assert secrets_there(url) == 2
    assert SECRET.encode() in copy.read_bytes()
    assert redacted(path, 3, None).receivers == (hide_secrets(url),)
    assert secrets_there(url) == 2
    assert ship_ledger(path, url).refused == {}
    assert secrets_there(url) == 0
    assert refresh_mirror(url) == copy
    assert SECRET.encode() not in copy.read_bytes()
    for place in (copy, refresh_mirror(url, tmp_path)):
        report = verify_ledger(place)
        assert (report.integrity, report.completeness) == ("whole", "complete")
        assert any("taken out by a redaction" in note for note in report.notes)


@pytest.mark.real
def test_what_was_tampered_with_here_replaces_nothing_there(url: str, path: Path) -> None:  # noqa: F811
    ship_ledger(path, url)
    redacted(path, 3, None)
    with triggers_away(path) as db:
        db.execute("UPDATE event SET data = replace(data, 'failed', 'passed') WHERE n = 3")
    (why,) = ship_ledger(path, url).refused.values()
    assert why == "event 3: the row does not fit its hash"
    assert secrets_there(url) == 2
    assert verify_ledger(refresh_mirror(url)).integrity == "whole"


@pytest.mark.real
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET data = '{}'",
        "SET LOCAL skillrun.redacting = 'on'; UPDATE run SET skill = 'x'",
        "SET LOCAL skillrun.redacting = 'on'; DELETE FROM event",
        "SET LOCAL skillrun.redacting = 'on'; TRUNCATE evidence",
    ],
)
def test_the_database_refuses_all_else(url: str, path: Path, statement: str) -> None:  # noqa: F811
    ship_ledger(path, url)
    with psycopg.connect(url) as far, pytest.raises(psycopg.Error, match="append-only"):
        far.execute(f"SET LOCAL search_path = skillrun; {statement}")


def test_the_command_says_who_has_them_still(url: str, path: Path) -> None:  # noqa: F811
    ship_ledger(path, url)
    with plain(path) as db:
        (run_id,) = db.execute("SELECT run_id FROM run").fetchone()
    done = helpers.run_cli(
        *("ledger", "redact", run_id, "3", "--reason", "a password", "--ledger", path),
        cwd=path.parent,
    )
    assert done.returncode == 0, done.stderr
    assert (
        f"{hide_secrets(url)} has been sent them: skillrun ledger ship --to takes them out there"
        in done.stdout
    )
    assert TAIL[:30] not in done.stdout
