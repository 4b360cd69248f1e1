"""A stored ledger of every released version is read, verified, migrated and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ledgers import fill_run, plain

from skillrun.ledger.query import named_queries, run_query
from skillrun.ledger.stats import ledger_stats
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.ledger.verify import verify_ledger
from skillrun.ledger.versions import SCHEMA_VERSION

STORED = sorted(Path(__file__).with_name("stored").glob("v*.db"))


def test_every_version_is_stored() -> None:
    """A new migration comes with a ledger that the version before has written."""
    assert [path.stem for path in STORED] == [
        f"v{number}" for number in range(1, SCHEMA_VERSION + 1)
    ]


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_old_rows_stay_true_and_new_ones_follow(stored: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(stored, tmp_path / "ledger.db"))
    with plain(path) as db:
        before = db.execute("SELECT run_id, n, prev, hash, data FROM event ORDER BY seq").fetchall()
    with Ledger.open(path) as ledger:
        run_id = ledger.runs()[-1]["run_id"]
        ledger.append(run_id, [NewEvent("x", data={"tail": "t" * 100})])
        fill_run(ledger, "new")
    with plain(path) as db:
        assert (
            db.execute("SELECT run_id, n, prev, hash, data FROM event ORDER BY seq").fetchall()[:13]
            == before
        )
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    report = verify_ledger(path)
    assert (report.integrity, report.completeness, report.problems, report.runs) == (
        "whole",
        "complete",
        (),
        3,
    )
    for name in named_queries():
        run_query(path, name)


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_one_that_nobody_has_migrated_yet_is_read_as_it_is(stored: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(stored, tmp_path / "ledger.db"))
    before = path.read_bytes()
    stats = ledger_stats(path, 7)
    assert (stats.all_runs, path.read_bytes()) == (2, before)


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_tampering_with_old_rows_is_found(stored: Path, tmp_path: Path) -> None:
    """Their long texts are under the hash themselves: no mark may stand in the place of one."""
    from ledgers import triggers_away

    path = Path(shutil.copy(stored, tmp_path / "ledger.db"))
    with triggers_away(path) as db:
        db.execute(
            "UPDATE evidence SET detail = json_set(detail, '$.tail', 'ok') WHERE role = 'command'"
        )
    assert {problem.table for problem in verify_ledger(path).problems} == {"evidence"}


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
@pytest.mark.parametrize("view", ["proof", "finding", "consent", "spec_text"])
def test_the_newest_views_read_a_ledger_that_nobody_has_migrated(
    view: str, stored: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(stored, tmp_path / "ledger.db"))
    before = path.read_bytes()
    assert run_query(path, f"SELECT count(*) FROM {view}").rows[0][0] >= 0
    assert path.read_bytes() == before
