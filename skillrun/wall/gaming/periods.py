"""How often a clock starts a sweep of `recovers`, and whether the loop that starts it goes on.

A proof calls the sweeps by itself, as often as the spec says. Nothing in it tells that a schedule
starts one on the first of a month alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from skillrun.contract.duration import parse_duration
from skillrun.core.opening import parse_yaml
from skillrun.core.verdict import Finding
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.schedule_settings import Constants
from skillrun.wall.gaming.specs import at, listed
from skillrun.wall.new_sweeps import list_starting_names

_HINT = (
    "let the clock start it as often as the spec says; a proof calls it by itself, so that nothing"
    " else tells that nobody does"
)
_DAY_S = 86_400
_FIRST_DAY = date(2027, 1, 1)
# A year, and whatever comes on one day of it twice.
_DAYS = 800
# A cron that runs a little later than it should does not break what the spec promises.
_SLACK = 1.1
_FIELD = r"[\d*/,-]+|(?:[a-z]{3}[,-]?)+"
_CRON = re.compile(
    rf"^\W*((?:(?:{_FIELD})[ \t]+){{4}}(?:{_FIELD}))(?=\s|[\"']|$)(.*)", re.IGNORECASE
)
_NAMED = re.compile(r"^\W*@(hourly|daily|midnight|weekly|monthly|yearly|annually)\b(.*)")
_NAMED_GAPS = {"hourly": 3_600, "daily": _DAY_S, "midnight": _DAY_S, "weekly": 7 * _DAY_S}
_LONGEST_NAMED = 31 * _DAY_S
_SLEEP = re.compile(r"\bsleep\s+(\d+)([smhd]?)\b")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": _DAY_S}
_KEYWORDS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": _DAY_S, "weeks": 7 * _DAY_S}
_PERIODS = ("schedule", "every", "interval")
# Whose arguments say how often, and nothing else by a number.
_TIMES = ("timedelta", "add_periodic_task", "add_job", "IntervalTrigger")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(?P<first>\*|\d+)(?:-(?P<last>\d+))?(?:/(?P<step>\d+))?")
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CELERY_FIELDS = (
    ("minute",),
    ("hour",),
    ("day_of_month", "day"),
    ("month_of_year", "month"),
    ("day_of_week",),
)
_LOOP = re.compile(r"\b(?:while|until)\b.*\bdo\b")
_ENDS_AT_FAILURE = re.compile(
    r"\b(?:ba|da|z|k)?sh\s+(?:-\w+\s+)*-\w*e|\bset\s+-\w*e|\|\|\s*(?:exit|break|return)\b"
    r"|\bwhile\s+sleep[^;]*&&"
)


@dataclass(frozen=True)
class Entry:
    """One line of a schedule: what it starts, and the longest time between two starts."""

    text: str
    gap_s: float
    file: File
    line: int
    called: str = ""  # the function, of a call

    def starts(self, names: Iterable[str]) -> bool:
        """Whether it has one of the names. Who calls a sweep is no clock: what he hands it is no
        period.
        """
        return self.called not in names and _starts(self.text, names)


def find_rarer_sweeps(rule: str, diff: Diff) -> Iterator[Finding]:
    """A sweep that HEAD's clock starts more seldom than the base's, and than its spec says."""
    sweeps = list(_list_sweeps(diff))
    if sweeps:
        yield from _find_rarer(rule, diff, sweeps)
    yield from _find_ending_loops(rule, diff)


def _find_rarer(rule: str, diff: Diff, sweeps: Iterable[tuple[str, float]]) -> Iterator[Finding]:
    files = [*diff.python_files(), *diff.deployment]
    changed = [file for file in files if not is_taken_for_tests(file.path)]
    if not changed:
        return
    constants = Constants(diff.before), Constants(diff.after)
    changed += _list_affected(changed, diff, *constants)
    before = _list_entries(changed, constants[0], of_head=False)
    after = _list_entries(changed, constants[1], of_head=True)
    # Who calls a sweep is asked only where a schedule has changed at all.
    if not before or not after:
        return
    for call, every_s in sweeps:
        names = {*_list_names(call), *list_starting_names(diff.after, call)}
        least = _find_seldom(_pick(before, names), _pick(after, names), every_s)
        if least is not None:
            said = (
                f"{quoted(call)} is started every {_show(least.gap_s)} at the latest, and its spec"
                f" says every {_show(every_s)}: {quoted(least.text)}"
            )
            yield taken(rule, least.file, least.line, said, hint=_HINT)


def _list_affected(
    changed: Sequence[File], diff: Diff, before: Constants, after: Constants
) -> list[File]:
    """The files that a branch leaves as they are, and that name a constant which it gives another
    value.
    """
    was, now = set[tuple[str, Any]](), set[tuple[str, Any]]()
    for file in changed:
        was.update(before.list_of(file.old_path))
        now.update(after.list_of(file.path))
    names = {origin.rpartition(".")[2] for origin, _ in was ^ now}
    known = {file.path for file in changed}
    found = []
    for path, text in diff.after.texts.items():
        old = diff.before.texts.get(path)
        if (
            old is not None
            and path not in known
            and not is_taken_for_tests(path)
            and _starts(text, names)
        ):
            found.append(File(path, path, old, text))
    return found


def _pick(entries: Iterable[Entry], names: Iterable[str]) -> list[Entry]:
    wanted = tuple(names)
    return [entry for entry in entries if entry.starts(wanted)]


def _find_seldom(was: list[Entry], now: list[Entry], every_s: float) -> Entry | None:
    """The most frequent start of HEAD, where it comes too seldom."""
    if not was or not now:
        return None
    least = min(now, key=_get_gap)
    usual = min(was, key=_get_gap)
    if least.gap_s <= max(usual.gap_s, every_s * _SLACK):
        return None
    return least


def _get_gap(entry: Entry) -> float:
    return entry.gap_s


def _list_sweeps(diff: Diff) -> Iterator[tuple[str, float]]:
    for spec in diff.specs:
        document = spec.new_document
        for sweep in listed(at(document.value if document else None, "recovers")):
            every = at(sweep, "every")
            if isinstance(every, str):
                yield str(at(sweep, "call")), parse_duration(every)


def _list_names(call: str) -> tuple[str, ...]:
    """A function, and the module that is run for it."""
    module, _, function = call.partition(":")
    return (function.rpartition(".")[2], module, module.rpartition(".")[2])


def _starts(text: str, names: Iterable[str]) -> bool:
    """Whether a line has one of the names."""
    return any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for name in names)


def _show(seconds: float) -> str:
    for name, unit in (("d", _DAY_S), ("h", 3_600), ("m", 60)):
        if seconds >= unit:
            return f"{seconds / unit:g}{name}"
    return f"{seconds:g}s"


# -- entries


def _list_entries(files: Iterable[File], constants: Constants, *, of_head: bool) -> list[Entry]:
    found: list[Entry] = []
    for file in files:
        text = file.new if of_head else file.old
        if text is None:
            continue
        if file.path.endswith(".py"):
            module = constants.find_module(file.path if of_head else file.old_path)
            if module is not None:
                found += _CodeReader(file, module, constants).list_entries()
        else:
            found += _list_in_lines(file, text)
    return found


def _list_in_lines(file: File, text: str) -> Iterator[Entry]:
    """Lines of a crontab, and loops that sleep."""
    for number, line in enumerate(text.splitlines(), 1):
        gap = _read_line(line)
        if gap is not None and not line.lstrip().startswith("#"):
            yield Entry(line.strip(), gap, file, number)


def _read_line(line: str) -> float | None:
    cron = _CRON.match(line)
    if cron:
        return measure_gap(cron[1].split())
    named = _NAMED.match(line)
    if named:
        return _NAMED_GAPS.get(named[1], _LONGEST_NAMED)
    slept = _SLEEP.search(line)
    if slept and _LOOP.search(line):
        return int(slept[1]) * _UNITS[slept[2]]
    return None


class _CodeReader:
    """The schedules in one module."""

    def __init__(self, file: File, module: Module, constants: Constants) -> None:
        self.file, self.module, self.constants = file, module, constants

    def list_entries(self) -> Iterator[Entry]:
        """Entries of a dict or a call, and decorators of the function that is started."""
        for node in ast.walk(self.module.tree):
            if isinstance(node, FunctionNode):
                for decorator in node.decorator_list:
                    text = f"{ast.unparse(decorator)} {node.name}"
                    yield from self._read_entry(
                        decorator, text, _list_values(decorator, named=True)
                    )
            elif isinstance(node, ast.Dict):
                yield from self._read_entry(node, ast.unparse(node), _list_values(node))
            elif isinstance(node, ast.Call):
                called = last_word(node.func)
                yield from self._read_entry(node, ast.unparse(node), _list_values(node), called)

    def _read_entry(
        self, node: ast.expr, text: str, values: Iterable[_Value], called: str = ""
    ) -> Iterator[Entry]:
        for value, is_period in values:
            gap = self._read_value(value, is_period=is_period)
            if gap is not None:
                yield Entry(text, gap, self.file, node.lineno, called)
                return

    def _read_value(self, node: ast.expr, *, is_period: bool) -> float | None:
        """`is_period`: it stands where a period does, so that a constant's name is one, too."""
        if isinstance(node, ast.BinOp):
            left = self._read_value(node.left, is_period=is_period)
            right = self._read_value(node.right, is_period=is_period)
            return _multiply(node.op, left, right)
        if isinstance(node, ast.Call):
            return self._read_call(node)
        # Elsewhere a constant may be anything: how many a sweep takes at a time.
        if is_period:
            return _read_constant(self._find_constant(node))
        return _read_constant(getattr(node, "value", None))

    def _read_call(self, node: ast.Call) -> float | None:
        """Of `crontab(minute="5")`, and of whatever is given seconds or hours."""
        called = last_word(node.func)
        if called == "crontab":
            return _read_crontab(node, self._find_constant)
        seconds = 0.0
        for keyword in node.keywords:
            value = getattr(keyword.value, "value", None)
            # Others take hours for something else: how old a row may be.
            if called in _TIMES:
                value = self._find_constant(keyword.value)
            if keyword.arg in _KEYWORDS and isinstance(value, int | float):
                seconds += value * _KEYWORDS[keyword.arg]
        return seconds or None

    def _find_constant(self, node: ast.expr) -> Any:
        """The value of a literal or of a constant's name; None of anything else."""
        if isinstance(node, ast.Constant):
            return node.value
        return self.constants.read(self.module, node)


_Value = tuple[ast.expr, bool]


def _list_values(node: ast.expr, *, named: bool = False) -> Iterator[_Value]:
    """What may say how often, as far as it belongs to this entry alone, and whether a name there is
    that of a period. `named`: wherever it stands.
    """
    yield node, named
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value in _PERIODS:
                yield value, True
    elif isinstance(node, ast.Call):
        is_clock = named or last_word(node.func) in _TIMES
        for argument in node.args:
            yield argument, is_clock
        for keyword in node.keywords:
            yield keyword.value, is_clock or keyword.arg in _PERIODS


def _multiply(op: ast.operator, left: float | None, right: float | None) -> float | None:
    """Of `30 * 60`."""
    if left is None or right is None or not isinstance(op, ast.Mult):
        return None
    return left * right


def _read_constant(value: object) -> float | None:
    if isinstance(value, str) and _CRON.fullmatch(value):
        return measure_gap(value.split())
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 1:
        return float(value)
    return None


def _read_crontab(call: ast.Call, find_constant: Callable[[ast.expr], Any]) -> float | None:
    """Celery's and Huey's: whatever is not given is each one."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    fields = []
    for number, names in enumerate(_CELERY_FIELDS):
        value: ast.expr | None = call.args[number] if number < len(call.args) else None
        for name in names:
            value = given.get(name, value)
        known = "*" if value is None else find_constant(value)
        if known is None:
            return None
        fields.append(str(known))
    return measure_gap(fields)


# -- cron


def measure_gap(fields: Sequence[str]) -> float | None:
    """The longest time between two starts, in seconds; None where the fields say nothing."""
    sets = []
    for text, bounds in zip(fields, _BOUNDS, strict=False):
        values = _expand_field(text.lower(), bounds)
        if not values:
            return None
        sets.append(values)
    longest, last = 0, None
    for now in _list_starts(sets):
        if last is not None:
            longest = max(longest, now - last)
        last = now
    return longest * 60 or None


def _list_starts(sets: Sequence[set[int]]) -> Iterator[int]:
    """The minutes, from the first day on, at which it starts."""
    minutes, hours, days, months, weekdays = sets
    times = sorted(hour * 60 + minute for hour in hours for minute in minutes)
    for number in range(_DAYS):
        day = _FIRST_DAY + timedelta(days=number)
        if day.month in months and _is_day(day, days, weekdays):
            yield from (number * 1_440 + time for time in times)


def _is_day(day: date, days: set[int], weekdays: set[int]) -> bool:
    # Sunday is 0 and 7.
    of_week = day.isoweekday() in weekdays or day.isoweekday() % 7 in weekdays
    return day.day in days and of_week


def _expand_field(text: str, bounds: tuple[int, int]) -> set[int]:
    """The numbers that a field stands for; empty where it cannot be read."""
    found: set[int] = set()
    for part in _write_numbers(text).split(","):
        values = _expand_part(part, bounds)
        if not values:
            return set()
        found.update(values)
    return found


def _write_numbers(text: str) -> str:
    for names, first in ((_MONTHS, 1), (_WEEKDAYS, 0)):
        for number, name in enumerate(names, first):
            text = text.replace(name, str(number))
    return text


def _expand_part(part: str, bounds: tuple[int, int]) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        return range(0)
    step = int(match["step"] or 1) or 1
    if match["first"] == "*":
        return range(bounds[0], bounds[1] + 1, step)
    last = match["last"] or match["first"]
    if match["step"] and not match["last"]:
        last = str(bounds[1])
    return range(int(match["first"]), int(last) + 1, step)


# -- loops


def _find_ending_loops(rule: str, diff: Diff) -> Iterator[Finding]:
    """A loop around a sweep that its first error ends, where nothing starts it again."""
    names: list[str] = []
    for call, _ in _list_sweeps(diff):
        names += _list_names(call)
    for file in diff.deployment:
        old_loops = _list_loops(file.old or "", names)
        if not old_loops or any(map(_ENDS_AT_FAILURE.search, old_loops.values())):
            continue
        for number, line in _list_lost_loops(file.new or "", names):
            said = f"the first error ends the loop that starts a sweep: {quoted(line)}"
            yield taken(rule, file, number, said, hint=_HINT)


def _list_lost_loops(text: str, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Those that end, and that nothing starts again."""
    for number, line in _list_loops(text, names).items():
        if _ENDS_AT_FAILURE.search(line) and not _is_restarted(text, line):
            yield number, line


def _list_loops(text: str, names: Sequence[str]) -> dict[int, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if _LOOP.search(line) and _starts(line, names):
            found[number] = line.strip()
    return found


def _is_restarted(text: str, line: str) -> bool:
    """Whether a service of compose comes again when its command has ended. A process of a Procfile
    or a pod does so by itself.
    """
    try:
        services = at(parse_yaml(text), "services")
    except ValueError:
        return True
    if not isinstance(services, dict):
        return True
    for service in services.values():
        command = at(service, "command")
        if isinstance(command, str) and command.strip() in line:
            return str(at(service, "restart")) not in ("None", "no", "False")
    return True
