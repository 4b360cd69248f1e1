"""The figures of a ledger as lines of at most 80 columns, with bars over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skillrun.ledger.stats import Figure, Stats
from skillrun.text import visible

COLUMNS = ("figure", "value", "of", "detail")
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"
_SECONDS = "median time to success"
_ENOUGH = 10  # a percentage of fewer would say more than is known
_LABEL, _WORDS = 23, 25  # and 31 bars: 80 columns with the gaps


def stats_lines(stats: Stats) -> Iterator[str]:
    """Label, words and bars of each figure; where nothing ran, that alone."""
    yield visible(f"{stats.path}: the last {_many(stats.days, 'day')}", limit=80)
    if not stats.runs:
        yield f"no run was at work in this time; the ledger holds {_many(stats.all_runs, 'run')}"
        return
    yield ""
    for figure in stats.figures:
        yield from _lines(figure)
    per = {1: "24 hours", 7: "a week", 28: "four weeks"}.get(stats.days_per_bar, f"{stats.days_per_bar} days")
    yield ""
    yield f"A bar is {per}, the last one ends now; {_NONE} is none, the highest is the most of its line."


def stats_rows(stats: Stats) -> list[tuple[str, float | int | str | None, int | None, str]]:
    """The figures as rows of COLUMNS; times are seconds."""
    return [(figure.name, figure.value, figure.of, figure.detail) for figure in stats.figures]


def sparkline(bars: Sequence[int]) -> str:
    """A character for each number: none, or an eighth to eight eighths of the largest, rounded up."""
    most = max(bars, default=0)
    return "".join(_BARS[-(-value * 8 // most) - 1] if value else _NONE for value in bars)


def _lines(figure: Figure) -> Iterator[str]:
    words = visible(_words(figure), limit=160)
    bars = sparkline(figure.bars) if figure.bars and any(figure.bars) else ""
    if len(words) <= _WORDS:
        yield f"{figure.name:<{_LABEL}} {words:<{_WORDS}} {bars}".rstrip()
        return
    head, _, rest = words.partition("; ") if "; " in words else words.partition(", ")
    yield f"{figure.name:<{_LABEL}} {visible(head, limit=_WORDS):<{_WORDS}} {bars}".rstrip()
    yield f"{'':<{_LABEL}} {visible(rest, limit=80 - _LABEL - 1)}".rstrip()


def _words(figure: Figure) -> str:
    if figure.name == _SECONDS:
        return f"{_duration(figure.value)}, {figure.detail}" if isinstance(figure.value, float | int) else "none yet"
    if figure.value is None:
        return "nothing"
    parts = [_share(figure), figure.detail] if figure.name != "blocks most" else [f"{figure.detail}", _share(figure)]
    return ", ".join(part for part in parts if part)


def _share(figure: Figure) -> str:
    if figure.of is None:
        return str(figure.value)
    if not figure.of:
        return "none yet"
    percent = f" ({100 * float(figure.value or 0) / figure.of:.0f}%)" if figure.of >= _ENOUGH else ""
    return f"{figure.value} of {figure.of}{percent}"


def _duration(seconds: float) -> str:
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 86_400:.3g} days"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
