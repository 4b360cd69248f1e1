"""The figures of a ledger as lines of at most 80 columns, with bars over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skillrun.ledger.stats import Figure, Stats
from skillrun.text import visible

COLUMNS = ("figure", "value", "of", "what", "detail")
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_ENOUGH = 10  # a percentage of fewer would say more than is known
_LABEL, _WORDS = 20, 27  # and 31 bars: 80 columns with the gaps


def stats_lines(stats: Stats, name: str) -> Iterator[str]:
    """Label, words and bars of each figure; where nothing ran, that alone. `name`: of the
    ledger.
    """
    yield f"The last {_many(stats.days, 'day')} in"
    yield visible(name, limit=80)
    if not stats.runs:
        yield f"No run was at work in this time; the ledger holds {_many(stats.all_runs, 'run')}."
        return
    yield ""
    for figure in stats.figures:
        yield from _lines(figure)
    per = {1: "24 hours", 7: "a week", 28: "four weeks"}.get(
        stats.days_per_bar, f"{stats.days_per_bar} days"
    )
    yield ""
    yield f"Bars of {per} up to now; {_NONE} is none, the highest is the most of its line."


def stats_rows(stats: Stats) -> list[tuple[str, float | int | None, int | None, str, str]]:
    """The figures as rows of COLUMNS; times are seconds."""
    return [
        (figure.name, figure.value, figure.of, figure.what, figure.detail)
        for figure in stats.figures
    ]


def sparkline(bars: Sequence[int]) -> str:
    """A character for each number: none, or an eighth to eight eighths of the largest, rounded
    up.
    """
    most = max(bars, default=0)
    return "".join(_BARS[-(-value * 8 // most) - 1] if value else _NONE for value in bars)


def _lines(figure: Figure) -> Iterator[str]:
    """A line, and a second one for the detail where the first has no room for it."""
    words, bars = _words(figure), sparkline(figure.bars) if any(figure.bars) else ""
    together = f"{words} ({figure.detail})" if figure.detail else words
    fits = len(visible(together, limit=None)) <= _WORDS
    shown = visible(together if fits else words, limit=_WORDS)
    yield f"{figure.name:<{_LABEL}} {shown:<{_WORDS}} {bars}".rstrip()
    if not fits and figure.detail:
        yield f"    {visible(figure.detail, limit=76)}"


def _words(figure: Figure) -> str:
    if figure.value is None:
        return "not known"
    if figure.name == "time to success":
        return _duration(figure.value)
    share = str(figure.value) if figure.of is None else _share(figure.value, figure.of)
    return f"{figure.what}, {share}" if figure.what else share


def _share(value: float, of: int) -> str:
    if of < _ENOUGH:
        return f"{value} of {of}"
    percent = int(100 * value / of)  # rounded down: 999 of 1000 are not all
    return f"{value} of {of}, {'<1' if value and not percent else percent}%"


def _duration(seconds: float) -> str:
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
