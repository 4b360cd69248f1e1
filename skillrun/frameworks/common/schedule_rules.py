"""Rules about what a clock starts: a crontab that fires every minute of its hour, and ticks that
overlap. A library gives its words as data.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job, Rule
from skillrun.frameworks.rulebook import read_reason
from skillrun.repo.python import Module
from skillrun.repo.uses import Place

# A schedule that nothing bounds is worth a word where its ticks are at most so far apart: few
# runs of a job take a minute, and any may.
_CLOSE_TICKS_S = 60.0


@dataclass(frozen=True)
class Tick:
    """A schedule of the handler: where its entry stands, and what is written there."""

    place: Place
    module: Module
    node: ast.expr


@dataclass(frozen=True)
class Clock:
    """What a library calls its schedules, and how they are found."""

    library: str
    crontabs: tuple[str, ...]
    fields: tuple[str, ...]  # of crontab(...), by position; the minute and the hour come first
    on_the_hour: str
    limit: str
    list_ticks: Callable[[Job], Iterable[Tick]]
    takes_lock: Callable[[Job], bool]
    hint_for_long_runs: str
    hint_for_unbounded_runs: str


def declare_schedule_rules(
    clock: Clock, crontab_source: str, overlap_source: str
) -> tuple[Rule, ...]:
    """Both rules under a library's name."""

    def find_minutes(job: Job) -> Iterator[Finding]:
        return crontab_minute(job, clock)

    def find_overlaps(job: Job) -> Iterator[Finding]:
        return period_overlap(job, clock)

    overlap, minute = f"{clock.library}.period-overlap", f"{clock.library}.crontab-minute"
    return (
        Rule(overlap, "idempotency", read_reason(period_overlap), overlap_source, find_overlaps),
        Rule(minute, "contract", read_reason(crontab_minute), crontab_source, find_minutes),
    )


def crontab_minute(job: Job, clock: Clock) -> Iterator[Finding]:
    """crontab(hour='3') fires every minute from 3:00 to 3:59, because minute is '*' unless it is
    given.
    """
    for tick in clock.list_ticks(job):
        given = _read_given(job, clock, tick)
        if given is None or "minute" in given:
            continue
        narrowed = [name for name, text in given.items() if _is_narrowed(clock, name, text)]
        if narrowed:
            message = (
                f"{ast.unparse(tick.node)} fires every minute of the time that {narrowed[0]} names:"
                " minute is '*' by default"
            )
            place = place_of(tick.module, tick.node)
            hint = f"add {clock.on_the_hour}"
            yield tell(job, "crontab-minute", Severity.WARNING, place, message, hint)


def _is_narrowed(clock: Clock, field: str, text: str | None) -> bool:
    """Whether a field leaves time out. One that cannot be read may be '*' as well; an hour that
    somebody gives a name is one.
    """
    if text is None:
        return field == clock.fields[1]
    return text != "*"


def period_overlap(job: Job, clock: Clock) -> Iterator[Finding]:
    """A schedule that is shorter than the run starts a second run beside the first.

    A tick that starts while the one before still runs.
    """
    if clock.takes_lock(job):
        return
    limit = job.policy.time_limit_s
    for tick in clock.list_ticks(job):
        period = _read_period(job, clock, tick)
        if period is None:
            continue
        if limit is not None and period < limit:
            message = (
                f"it starts every {seconds(period)} and may run for {seconds(limit)}"
                f" ({clock.limit}): two run at once"
            )
            hint = clock.hint_for_long_runs
            yield tell(job, "period-overlap", Severity.WARNING, tick.place, message, hint)
        elif limit is None and period <= _CLOSE_TICKS_S:
            message = (
                f"it starts every {seconds(period)} and nothing bounds how long it runs: two may"
                " run at once"
            )
            hint = clock.hint_for_unbounded_runs
            yield tell(job, "period-overlap", Severity.NOTE, tick.place, message, hint)


def _read_given(job: Job, clock: Clock, tick: Tick) -> dict[str, str | None] | None:
    """Field -> text of what a `crontab(...)` is given, None for a text that cannot be read. None
    for the whole where it is no crontab, or `**rest` may give any field.
    """
    node = tick.node
    if not isinstance(node, ast.Call) or any(word.arg is None for word in node.keywords):
        return None
    name = tick.module.resolve(node.func)
    if name is None or job.project.origin(name) not in clock.crontabs:
        return None
    written = dict(zip(clock.fields, node.args, strict=False))
    for word in node.keywords:
        if word.arg in clock.fields:
            written[word.arg] = word.value
    # The order is that of the library, whatever stands first.
    given: dict[str, str | None] = {}
    for name in clock.fields:
        if name in written:
            given[name] = _read_text(job, tick.module, written[name])
    return given


def _read_text(job: Job, module: Module, node: ast.expr) -> str | None:
    """What a field says, `[8, 20]` as "8,20"; None where it cannot be read."""
    value = job.project.literal(node, module)
    if isinstance(value, list | tuple | set | frozenset) and value:
        return ",".join(map(str, value))
    if isinstance(value, int | str):
        return str(value)
    return None


def _read_period(job: Job, clock: Clock, tick: Tick) -> float | None:
    """Seconds between two ticks at the closest."""
    value = job.project.literal(tick.node, tick.module)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    given = _read_given(job, clock, tick)
    if given is None:
        return None
    minutes, hours = given.get("minute", "*"), given.get("hour", "*")
    # Minutes that cannot be read fire once an hour at least, and hours once a day.
    return _read_step(minutes, 60.0, 60) or _read_step(hours, 3600.0, 24) or 86400.0


def _read_step(text: str | None, unit: float, size: int) -> float | None:
    """ "*" is every unit, "*/n" every n-th, "0,30" the closest two; None for one fixed time."""
    if text is None:
        return None
    if text == "*":
        return unit
    if text.startswith("*/") and text[2:].isdigit():
        return unit * int(text[2:])
    numbers = sorted(int(part) for part in text.split(",") if part.strip().isdigit())
    if len(numbers) < 2:
        return None
    gaps = []
    for earlier, later in zip(numbers, [*numbers[1:], numbers[0] + size], strict=True):
        gaps.append(later - earlier)
    return unit * min(gaps)
