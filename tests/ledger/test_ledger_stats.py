"""The figures of `ledger stats`, over runs of which they are known; nothing misleading where there
is little.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from stories import DAY, Story, report

from skillrun.ledger.stats import Figure, Stats, ledger_stats
from skillrun.ledger.store import Ledger
from skillrun.reports.stats import COLUMNS, draw_bars, stats_lines, stats_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Seven runs; two of them before the last thirty days, and one of these was at work again."""
    path = tmp_path / "ledger.db"
    with Story(path) as story:
        old = story.run("old", -40 * DAY)
        story.stage(old, "identify", "blocked", -40 * DAY)
        story.says(old, "waiver.given", -40 * DAY, data={"item": "x"})
        story.end(old, "success", -40 * DAY, grade_min=None)
        resumed = story.run("resumed", -35 * DAY)
        story.end(resumed, "blocked", -35 * DAY)
        story.begin(resumed, -2.5 * DAY)
        story.stage(resumed, "retry", "blocked", -2.5 * DAY)
        story.dies(resumed, -2.5 * DAY)
        story.begin(resumed, -2.4 * DAY)
        story.end(resumed, "success", -2.4 * DAY, data=report(a="static"), grade_min="static")
        first = story.run("first", -10 * DAY)
        story.end(first, "success", -10 * DAY + 60, grade_min="proved")
        slow = story.run("slow", -9 * DAY)
        story.stage(slow, "retry", "failed", -9 * DAY)
        story.stage(slow, "tests", "blocked", -9 * DAY, fingerprint="f")
        story.end(slow, "partial", -9 * DAY)
        story.begin(slow, -9 * DAY + 100)
        story.stage(slow, "tests", "failed", -9 * DAY + 100, fingerprint="f")
        story.stage(slow, "tests", "passed", -9 * DAY + 110, fingerprint="f")
        story.end(slow, "success", -9 * DAY + 120, grade_min="executed")
        blocked = story.run("blocked", -0.5 * DAY)
        story.stage(blocked, "retry", "blocked", -0.5 * DAY)
        story.says(blocked, "waiver.given", -0.5 * DAY, actor_kind="agent", data={"item": "x"})
        story.says(blocked, "attestation.given", -0.5 * DAY, actor_kind="human", data={"step": "x"})
        story.says(blocked, "hook.blocked", -0.5 * DAY)
        story.end(blocked, "blocked", -0.5 * DAY)
        story.run("open", -60)
    return path


def figures(stats: Stats) -> dict[str, Figure]:
    return {figure.name: figure for figure in stats.figures}


def test_the_figures(path: Path) -> None:
    stats = ledger_stats(path, 30)
    found = figures(stats)
    assert (stats.runs, stats.all_runs, stats.days_per_bar) == (5, 6, 1)
    assert {name: (f.value, f.of) for name, f in found.items()} == {
        "runs": (5, None),
        "stand at success": (3, 4),
        "at the first try": (1, 3),
        "time to success": (pytest.approx(120, abs=0.01), None),  # of 60 s, 120 s and some weeks
        "weak successes": (1, 3),
        "blocks most": (3, 5),
        "invocations": (7, None),
        "waived or attested": (2, None),
        "died": (1, None),
        "said done too early": (1, None),
        "flaky results": (1, None),
        "stale successes now": (None, None),
    }
    assert found["weak successes"].detail == "weakest, stages too: proved 1, executed 1, static 1"
    assert (found["blocks most"].what, found["blocks most"].detail) == ("retry", "then tests 1")
    assert found["waived or attested"].detail == "1 by agents"
    assert found["died"].detail == "1 open now"


def test_the_bars_are_days(path: Path) -> None:
    found = figures(ledger_stats(path, 30))
    assert {name: len(f.bars) for name, f in found.items() if f.bars}["runs"] == 30
    assert sum(found["invocations"].bars) == 7
    # Half a day and two and a half.
    assert (found["invocations"].bars[-1], found["invocations"].bars[-3]) == (
        2,
        2,
    )
    assert found["died"].bars == (*(0,) * 27, 1, 0, 0)
    assert sum(found["runs"].bars) == 4


@pytest.mark.parametrize(
    ("days", "per_bar", "bars"),
    [(1, 1, 1), (31, 1, 31), (32, 7, 5), (365, 28, 14), (3650, 118, 31)],
)
def test_there_are_never_too_many_bars(path: Path, days: int, per_bar: int, bars: int) -> None:
    stats = ledger_stats(path, days)
    assert (stats.days_per_bar, len(figures(stats)["runs"].bars)) == (per_bar, bars)


def test_every_line_fits_eighty_columns(path: Path) -> None:
    for days in (1, 30, 365, 3650):
        lines = list(stats_lines(ledger_stats(path, days), "x.db"))
        assert max(map(len, lines)) <= 80
        assert all(
            figure in "\n".join(lines) for figure in ("stand at success", "blocks most", "Bars of")
        )


def test_hostile_names_stay_within_their_line(tmp_path: Path) -> None:
    with Story(tmp_path / "ledger.db") as story:
        run_id = story.run("x")
        for stage in ("\x1b[31mred\u202e" * 20, "b" * 300, "c\nd"):
            story.stage(run_id, stage, "blocked", 1)
    lines = list(stats_lines(ledger_stats(tmp_path / "ledger.db", 30), "x.db"))
    assert max(map(len, lines)) <= 80
    assert not any(
        ord(character) < 32 or character == "\u202e" for line in lines for character in line
    )


def test_an_empty_period_says_so(tmp_path: Path) -> None:
    with Story(tmp_path / "ledger.db") as story:
        story.end(story.run("old", -40 * DAY), "success", -40 * DAY)
    lines = list(stats_lines(ledger_stats(tmp_path / "ledger.db", 30), "x.db"))
    assert lines[-1] == "No run was at work in this time; the ledger holds 1 run."
    assert len(lines) == 3


@pytest.mark.real
def test_an_empty_ledger_and_none(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "ledger.db").close()
    done = helpers.run_cli("ledger", "stats", "--ledger", tmp_path / "ledger.db", cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "No run was at work in this time; the ledger holds 0 runs.",
    )
    missing = helpers.run_cli("ledger", "stats", "--ledger", tmp_path / "none.db", cwd=tmp_path)
    assert (missing.returncode, "no ledger here yet" in missing.stderr) == (4, True)
    assert helpers.run_cli("ledger", "stats", "--days", "0", cwd=tmp_path).returncode == 2


def test_one_run_that_has_not_ended_claims_nothing(tmp_path: Path) -> None:
    with Story(tmp_path / "ledger.db") as story:
        story.run("open", -60)
    text = "\n".join(stats_lines(ledger_stats(tmp_path / "ledger.db", 30), "x.db"))
    assert "%" not in text
    assert "stand at success     0 of 0" in text
    assert "time to success      not known" in text
    assert "blocks most          nothing, 0 of 1" in text


def test_percentages_are_for_many_and_rounded_down() -> None:
    def words(value: int, of: int) -> str:
        stats = Stats(1, 1, 1, 1, (Figure("at the first try", value, of),))
        return list(stats_lines(stats, "x"))[3].removeprefix("at the first try").strip()

    assert [words(*pair) for pair in ((2, 3), (999, 1000), (1, 1000), (0, 10), (10, 10))] == [
        "2 of 3",
        "999 of 1000, 99%",
        "1 of 1000, <1%",
        "0 of 10, 0%",
        "10 of 10, 100%",
    ]


def test_sparklines_tell_none_from_few() -> None:
    assert draw_bars((0, 1, 50, 100)) == "·▁▄█"
    assert draw_bars((0, 0)) == "··"
    assert draw_bars(()) == ""


def test_rows_for_other_formats(path: Path) -> None:
    stats = ledger_stats(path, 30)
    rows = stats_rows(stats)
    assert len(rows[0]) == len(COLUMNS)
    assert ("blocks most", 3, 5, "retry", "then tests 1") in rows
    done = helpers.run_cli("ledger", "stats", "--format", "csv", "--ledger", path, cwd=path.parent)
    assert len(done.stdout.splitlines()) == len(rows) + 1


def test_a_success_of_long_ago_has_no_time_in_this_period(tmp_path: Path) -> None:
    with Story(tmp_path / "ledger.db") as story:
        run_id = story.run("a", -40 * DAY)
        story.end(run_id, "success", -40 * DAY + 5)
        story.begin(run_id, -DAY)
        story.end(run_id, "success", -DAY + 5)
    found = figures(ledger_stats(tmp_path / "ledger.db", 30))
    assert (found["time to success"].value, found["stand at success"].value) == (None, 1)
    assert found["time to success"].detail == "no success for the first time"
