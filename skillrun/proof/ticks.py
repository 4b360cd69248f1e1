"""Jobs that nobody publishes: when a poller looks again, and when a cron job is due.

A job is *polled* where its work lies in a database: after a fault the proof follows the ticks as
long as something may still come of it. It is *clocked* where nothing but the time of the tick says
which job it is.
"""

from __future__ import annotations

import calendar
import itertools
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from skillrun.proof.history import outlasts_process

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.probe.facts import BootFacts
    from skillrun.proof.history import Delivery
    from skillrun.proof.schedule import Schedule

DAY_S = 86400.0
STEP_S = 1.0  # between one delivery and the next
# A declared delay of nearly a period is one that waits for the next tick.
_NEXT_TICK = 0.9
# When a poller is looked at again after a fault, as shares of the declared delay: well before it
# and shortly before it, where a handler that keeps the delay does nothing; shortly after it; and
# when it is overdue, whatever jitter adds.
_WELL_BEFORE, _SHORTLY_BEFORE = 0.4, 0.8
_SHORTLY_AFTER, _OVERDUE = 1.02, 1.2
# A delay may be kept in whole seconds, rounded at both ends.
_WHOLE_SECONDS_S = 2
# A tick may begin some seconds late, and sees only then what is due.
_STARTED_LATE_S = 5
# A lock or a claim of a dead process should be given up within an hour; what is held for a day is
# given up an hour after it.
_LOCK_S = 3600.0
_DAY_AND_HOUR_S = 25 * 3600.0
_INSIDE = 0.98  # of a declared window, in which a duplicate is still known
NEXT = 900  # the first job number of a clocked handler's later ticks
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, tuple[str, ...]], ...] = (
    (0, 59, ()),
    (0, 23, ()),
    (1, 31, ()),
    (1, 12, _MONTHS),
    (0, 7, _DAYS),
)
# Month and day. Of the 31sts the one before a shorter month, and the one after it.
_BORDER_DAYS = ((12, 31), (1, 1), (1, 31), (3, 31), (2, 29))
# A century's last year has no such day: eight years bring one for certain.
_LEAP_CYCLE = 8
NOON = clock_time(12)
# Of a job that runs each minute but works at one time of a day: 96 ticks are looked at.
_LOOKED_AT_EVERY_MIN = 15
# Two years and some: each month, and each day of a month, comes twice.
_DAYS_FOR_EACH_TWICE = 800
# Clocks are turned back once a year; a schedule may pass over that day once.
_DAYS_WITH_A_TURN = 2 * 366
# More times than every second hour are no times of a day, but an interval.
_MOST_DAILY_TIMES = 12
_NAMED = {
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}


def is_polled(spec: JobSpec, facts: BootFacts) -> bool:
    """Whether each tick looks for work in a database: a poller does, and a cron job that goes by no
    key and takes up what is left.
    """
    if not facts.ticks:
        return False
    if spec.trigger is not None and spec.trigger.type == "poller":
        return True
    return spec.enqueue is not None or _takes_up_what_is_left(spec)


def _takes_up_what_is_left(spec: JobSpec) -> bool:
    """Whether a cron job does at its next tick what the last one has left: it has several ticks a
    day, or a retry policy that waits for the next day.
    """
    if spec.trigger is None or spec.idempotency is None or spec.idempotency.strategy != "invariant":
        return False
    period = find_period_s(spec.trigger.schedule)
    if period < DAY_S:
        return True
    delays = _read_delays(spec)
    return bool(delays) and delays[0] >= period * _NEXT_TICK


def _read_delays(spec: JobSpec, attempts: int | None = None) -> tuple[float, ...]:
    """The declared waits before each retry; none where the job is not tried again. `attempts`: as
    if it were tried so often.
    """
    retry = spec.retry
    if retry is None or retry.kind is not None:
        return ()
    if attempts is not None:
        retry = retry.model_copy(update={"max_attempts": attempts})
    return retry.delays()


def is_clocked(spec: JobSpec, facts: BootFacts) -> bool:
    """Whether each tick is a job of its own."""
    is_cron = spec.trigger is not None and spec.trigger.type == "cron"
    return facts.ticks and is_cron and not is_polled(spec, facts)


def is_published_by_clock(spec: JobSpec) -> bool:
    """Whether nothing but the library's own scheduler publishes the job: then two of its ticks come
    one after the other.
    """
    return spec.enqueue is None and has_clock(spec)


def has_clock(spec: JobSpec) -> bool:
    """Whether a clock starts the job, as its trigger says."""
    return spec.trigger is not None and spec.trigger.type in ("cron", "poller")


def is_named_by_clock(spec: JobSpec, facts: BootFacts) -> bool:
    """Whether the trigger is a clock, and the library's own scheduler is seen to start the handler:
    nothing else would bring a job whose call publishes nothing.
    """
    if not has_clock(spec):
        return False
    return "schedule" in facts.timed or spec.handler in (facts.scheduled or ())


def go_by_ticks(spec: JobSpec, facts: BootFacts) -> BootFacts:
    """What holds of a job whose library only brings its ticks: none of them is worth more than the
    next one, which finds what is left in the database.
    """
    return replace(
        facts,
        ticks=True,
        redelivery_s=find_tick_s(spec),
        bounded_kills=False,
        on_kill="the next tick runs it again; its state in the database decides",
    )


def has_next_tick(spec: JobSpec, facts: BootFacts) -> bool:
    """Whether a clock alone publishes the job's messages: then the next one comes, whatever became
    of this one.
    """
    return is_published_by_clock(spec) and not facts.ticks and not facts.is_called


# -- polled


def find_tick_s(spec: JobSpec) -> float:
    """Seconds between two ticks."""
    if spec.trigger is None:
        return DAY_S
    if spec.trigger.type == "cron":
        return find_period_s(spec.trigger.schedule)
    return spec.trigger.every or 60.0


def find_wait_of_error(spec: JobSpec, schedule: Schedule) -> float | None:
    """Seconds that the spec gives the injected error in the place of the backoff; None where the
    backoff holds.
    """
    if spec.failures is None:
        return None
    for fault in schedule.faults:
        if not fault.error:
            continue
        # A class may be declared several times, with other arguments: HTTP 503 and 429.
        declared = [error for error in spec.failures.listed if error.type == fault.error]
        if fault.index < len(declared):
            return declared[fault.index].wait
    return None


def list_looks(spec: JobSpec, schedule: Schedule, tries: int) -> list[float]:
    """The times at which the proof looks again after the fault number `tries`, in seconds from it.

    They are: the next tick; shortly before and after the declared delay, and when it is overdue;
    and when whatever a dead process held must have been given up. A handler that is not due yet
    does nothing when it is looked at.
    """
    tick = find_tick_s(spec)
    declared = _read_delays(spec)[tries - 1 : tries]
    if not declared and schedule.kills_handler:
        # The row was put off before the last attempt, as before each: who died in it is found then.
        declared = _read_delays(spec, tries + 1)[tries - 1 : tries]
    waits_otherwise = find_wait_of_error(spec, schedule)
    if waits_otherwise is not None:
        declared = (waits_otherwise,)
    is_cron = spec.trigger is not None and spec.trigger.type == "cron"
    # On another day a cron job may be another one: it is not looked at so late.
    latest = 0.0
    if not is_cron:
        latest = _find_horizon(spec)
    found = {max(_LOCK_S, tick), max(latest, tick)}
    if not declared:
        found.add(tick)
    for delay in declared:
        # The second after the fault counts as well: it is when the next delivery may begin.
        shortly_before = min(delay * _SHORTLY_BEFORE, delay - _WHOLE_SECONDS_S - STEP_S)
        found |= {max(tick, delay * _WELL_BEFORE), max(tick, shortly_before)}
        found.add(delay * _SHORTLY_AFTER + _WHOLE_SECONDS_S)
        found.add(delay * _OVERDUE + tick + _STARTED_LATE_S)
    return sorted(wait for wait in found if wait >= tick)


def _find_horizon(spec: JobSpec) -> float:
    """The last time at which the job must still know what it has done, in seconds
    from the fault.
    """
    if spec.idempotency is None:
        return _DAY_AND_HOUR_S
    dedupe = spec.idempotency.dedupe
    if dedupe is None or not dedupe.window:
        return _DAY_AND_HOUR_S
    return min(_DAY_AND_HOUR_S, dedupe.window * _INSIDE)


def is_faulty(delivery: Delivery) -> bool:
    """Whether a delivery died, or an error was thrown into it."""
    return delivery.died or not delivery.hit_by.isdisjoint(("raise", "fail"))


def is_idle(delivery: Delivery) -> bool:
    """Whether a tick met no fault, called nothing and did not fail: it found no work."""
    if is_faulty(delivery) or delivery.first("performed") is not None:
        return False
    return delivery.outcome == "succeeded"


def has_written(delivery: Delivery) -> bool:
    """Whether a tick wrote what the next one may find, as one does that gives back old work."""
    return any(map(outlasts_process, delivery.all("at")))


# -- clocked


def find_s_to_time(moment: clock_time, zone: str | None) -> float:
    """Seconds from now to a time of this day in a time zone."""
    today = datetime.now(_read_zone(zone)).date()
    return datetime.combine(today, moment, _read_zone(zone)).timestamp() - time.time()


def list_times(schedule: str | None) -> list[clock_time]:
    """The times of a day at which a cron expression fires, no two within a quarter of an hour; none
    for what is no cron expression.
    """
    fields = read_cron_fields(schedule)
    if fields is None:
        return []
    kept: list[clock_time] = []
    minutes = [hour * 60 + minute for hour in sorted(fields[1]) for minute in sorted(fields[0])]
    last = -_LOOKED_AT_EVERY_MIN
    for minute in minutes:
        if minute - last >= _LOOKED_AT_EVERY_MIN:
            kept.append(clock_time(minute // 60, minute % 60))
            last = minute
    return kept


def list_border_days(schedule: str | None, zone: str | None) -> list[date]:
    """The coming days on which dates are easily computed wrongly: the ends of a year, the 31st
    before a shorter month and after one, the day that most years do not have. With a cron
    expression, only those on which it is due.
    """
    today = datetime.now(_read_zone(zone)).date()
    fields = read_cron_fields(schedule)
    found: list[date] = []
    for month, day in _BORDER_DAYS:
        coming = _find_next_date(today, month, day)
        if fields is None or _is_due(fields, coming):
            found.append(coming)
    return sorted(found)


def _find_next_date(today: date, month: int, day: int) -> date:
    """The first day after today that has this month and day."""
    for year in range(today.year, today.year + _LEAP_CYCLE + 1):
        if not _has_day(year, month, day):
            continue
        coming = date(year, month, day)
        if coming > today:
            return coming
    raise LookupError(f"no year of the next ones has a {month:02}-{day:02}")


def _has_day(year: int, month: int, day: int) -> bool:
    """Whether a month has so many days in a year."""
    return day <= calendar.monthrange(year, month)[1]


def find_s_to_day(day: date, zone: str | None) -> float:
    """Seconds from now to noon of a day in a time zone."""
    return datetime.combine(day, NOON, _read_zone(zone)).timestamp() - time.time()


def find_s_to_midnight(zone: str | None) -> float:
    """Seconds from now to just before the next day in a time zone."""
    now = datetime.now(_read_zone(zone))
    end = now.replace(hour=23, minute=59, second=58, microsecond=0)
    if end <= now:
        end += timedelta(1)
    return end.timestamp() - time.time()


def list_later_ticks(schedule: str | None, zone: str | None) -> list[float]:
    """Ticks that are other jobs than today's, in seconds from noon of this day; none for what is no
    cron expression.

    A job that keys its work by less than the full date takes one of these for today's: the next
    tick, and those that have their weekday, day of the month, or date of the year in common with
    it.
    """
    fields = read_cron_fields(schedule)
    if fields is None:
        return []
    gap = _find_longest_gap(fields)
    if gap is None:
        return []
    today = datetime.now(_read_zone(zone)).date()
    days = {today + timedelta(gap), _add_months(today, 12)}
    if gap == 1:
        days |= {today + timedelta(7), _add_months(today, 1)}
    return sorted((day - today).days * DAY_S for day in days)


def find_period_s(schedule: str | None) -> float:
    """The shortest time between two ticks of a day, in seconds; a day where it has one tick, or
    where that cannot be told.
    """
    fields = read_cron_fields(schedule)
    if fields is None:
        return DAY_S
    minutes, hours = fields[0], fields[1]
    fires = sorted(hour * 3600 + minute * 60 for hour in hours for minute in minutes)
    gaps = [later - earlier for earlier, later in itertools.pairwise(fires)]
    return float(min(gaps, default=DAY_S))


def _add_months(day: date, months: int) -> date:
    """The same day of the month some months later; where that month has no such day, a day at the
    beginning of the month after it.
    """
    month = day.month - 1 + months
    first = date(day.year + month // 12, month % 12 + 1, 1)
    try:
        return first.replace(day=day.day)
    except ValueError:
        return first + timedelta(31)


def _find_longest_gap(fields: tuple[frozenset[int], ...]) -> int | None:
    """The most days between two ticks of a schedule: after so many another day, week or month has
    begun, whichever it goes by. None where it is never due twice.
    """
    start = date(2026, 1, 1)
    all_days = [start + timedelta(number) for number in range(_DAYS_FOR_EACH_TWICE)]
    days = [day for day in all_days if _is_due(fields, day)]
    gaps = [(later - day).days for day, later in itertools.pairwise(days)]
    return max(gaps, default=None)


def find_doubled_tick(
    schedule: str | None, zone: str | None, due: clock_time | None = None
) -> tuple[float, float] | None:
    """The two instants at which a daily time comes when clocks are turned back; None where it comes
    once. `due`: the one time of a day at which a tick was seen to do its work.
    """
    fields = read_cron_fields(schedule)
    if fields is None or zone is None:
        return None
    minutes, hours = fields[0], fields[1]
    if due is not None:
        minutes, hours = frozenset((due.minute,)), frozenset((due.hour,))
    # What runs many times a day has no daily time that could come twice.
    if len(minutes) > 1 or len(hours) > _MOST_DAILY_TIMES:
        return None
    place = _read_zone(zone)
    today = datetime.now(place).date()
    for number in range(1, _DAYS_WITH_A_TURN):
        day = today + timedelta(number)
        for hour in sorted(hours):
            first = datetime(day.year, day.month, day.day, hour, min(minutes), tzinfo=place)
            again = first.replace(fold=1)
            if again.timestamp() > first.timestamp() and _is_due(fields, day):
                return first.timestamp(), again.timestamp()
    return None


def read_cron_fields(schedule: str | None) -> tuple[frozenset[int], ...] | None:
    """The values of minute, hour, day, month and weekday (0: Sunday) of a cron expression; None for
    what cron alone does not know.
    """
    words = _NAMED.get(schedule or "", schedule or "").split()
    if len(words) != len(_FIELDS):
        return None
    values: list[frozenset[int]] = []
    for word, (low, high, names) in zip(words, _FIELDS, strict=True):
        try:
            values.append(frozenset(_read_values(word, low, high, names)))
        except ValueError:
            return None
    minute, hour, day, month, weekday = values
    # Both 0 and 7 are Sunday.
    return minute, hour, day, month, frozenset(number % 7 for number in weekday)


def _read_values(word: str, low: int, high: int, names: tuple[str, ...]) -> Iterable[int]:
    """Yields the values that one field of a cron expression names: "*/15", "1-5", "mon,fri". Raises
    ValueError where it is no such field.
    """
    for part in word.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span in "*?":
            begin, end = low, high
        elif step and not last:
            # "10/15": from there on to the end.
            begin, end = _read_number(first, low, names), high
        else:
            begin = _read_number(first, low, names)
            end = _read_number(last or first, low, names)
        yield from range(begin, end + 1, int(step or 1))


def _read_number(word: str, low: int, names: tuple[str, ...]) -> int:
    """The number that a word stands for, also by its name: "mon". Raises ValueError."""
    if word in names:
        return names.index(word) + low
    return int(word)


def _is_due(fields: tuple[frozenset[int], ...], day: date) -> bool:
    """Whether a schedule runs on a day. `fields`: as `read_cron_fields` gives them."""
    _, _, days, months, weekdays = fields
    if day.month not in months:
        return False
    in_month, in_week = day.day in days, day.isoweekday() % 7 in weekdays
    # Where both are restricted, cron takes a day that fits one of the two.
    if len(days) < 31 and len(weekdays) < 7:
        return in_month or in_week
    return in_month and in_week


def _read_zone(name: str | None) -> ZoneInfo:
    """The time zone of a name; UTC where there is none of that name."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError):
        return ZoneInfo("UTC")
