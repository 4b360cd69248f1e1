"""The figures of a ledger as lines of at most 80 columns, with bars over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skillrun.core.text import visible
from skillrun.ledger.stats import Figure, Stats

COLUMNS = ("figure", "value", "of", "what", "detail")
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_PERIODS = {1: "24 hours", 7: "a week", 28: "four weeks"}
# A percentage of fewer would say more than is known.
_ENOUGH = 10
# And 31 bars: 80 columns with the gaps.
_LABEL, _WORDS = 20, 27


def stats_lines(stats: Stats, name: str) -> Iterator[str]:
    """Label, words and bars of each figure; where nothing ran, that alone. `name`: of the
    ledger.
    """
    yield f"The last {_count_of(stats.days, 'day')} in"
    yield visible(name, limit=80)
    if not stats.runs:
        every = _count_of(stats.all_runs, "run")
        yield f"No run was at work in this time; the ledger holds {every}."
        return
    yield ""
    for figure in stats.figures:
        yield from _figure_lines(figure)
    per = _PERIODS.get(stats.days_per_bar, f"{stats.days_per_bar} days")
    yield ""
    yield f"Bars of {per} up to now; {_NONE} is none, the highest is the most of its line."


def stats_rows(stats: Stats) -> list[tuple[str, float | int | None, int | None, str, str]]:
    """The figures as rows of COLUMNS; times are seconds."""
    rows = []
    for figure in stats.figures:
        rows.append((figure.name, figure.value, figure.of, figure.what, figure.detail))
    return rows


def draw_bars(bars: Sequence[int]) -> str:
    """A character for each number: none, or an eighth to eight eighths of the largest, rounded
    up.
    """
    most = max(bars, default=0)
    drawn = ""
    for value in bars:
        if not value:
            drawn += _NONE
            continue
        # Rounded up, so that the smallest number still has a bar.
        eighths = -(-value * 8 // most)
        drawn += _BARS[eighths - 1]
    return drawn


def _figure_lines(figure: Figure) -> Iterator[str]:
    """A line, and a second one for the detail where the first has no room for it."""
    bars = ""
    if any(figure.bars):
        bars = draw_bars(figure.bars)
    words = _value_words(figure)
    if figure.detail:
        together = f"{words} ({figure.detail})"
    else:
        together = words
    fits = len(visible(together, limit=None)) <= _WORDS
    if fits:
        words = together
    yield f"{figure.name:<{_LABEL}} {visible(words, limit=_WORDS):<{_WORDS}} {bars}".rstrip()
    if not fits and figure.detail:
        yield f"    {visible(figure.detail, limit=76)}"


def _value_words(figure: Figure) -> str:
    if figure.value is None:
        return "not known"
    if figure.name == "time to success":
        return _format_duration(figure.value)
    share = str(figure.value)
    if figure.of is not None:
        share = _share_words(figure.value, figure.of)
    if not figure.what:
        return share
    return f"{figure.what}, {share}"


def _share_words(value: float, of: int) -> str:
    if of < _ENOUGH:
        return f"{value} of {of}"
    # Rounded down: 999 of 1000 are not all.
    percent = str(int(100 * value / of))
    if value and percent == "0":
        percent = "<1"
    return f"{value} of {of}, {percent}%"


def _format_duration(seconds: float) -> str:
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def _count_of(count: int, what: str) -> str:
    if count == 1:
        return f"1 {what}"
    return f"{count} {what}s"
