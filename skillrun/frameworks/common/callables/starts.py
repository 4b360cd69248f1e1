"""Command lines that start Python code: crontab lines, timers, CronJobs, Procfile, compose, units,
scripts.

A line counts as scheduled only where a time is written with it: five crontab fields, a systemd
timer, a Kubernetes CronJob. A CI workflow is housekeeping of the repository, not the application's
scheduler, and is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import translate

from skillrun.repo.shell import without_prefix

TEXT_FILES = (
    *(
        "procfile*",
        "*dockerfile*",
        "makefile",
        "justfile",
        "*.mk",
        "*.sh",
        "*.bash",
        "run",
        "start*",
        "*entrypoint*",
    ),
    *("*.yml", "*.yaml", "*.service", "*.timer", "*.conf", "*.ini", "*cron*", "app.json"),
)
_IS_TEXT = re.compile("|".join(translate(glob) for glob in TEXT_FILES))
_IS_CI = re.compile(
    r"(^|/)(\.github|\.circleci|\.buildkite)/|(^|/)(\.gitlab-ci|\.travis|azure-pipelines)[^/]*$"
)
_FIELDS = r"(?:[\d*][\d*/,-]*[ \t]+){3}[\w*/,-]+[ \t]+[\w*/,-]+"
_WORDS = r"@(?:reboot|yearly|annually|monthly|weekly|daily|midnight|hourly|every[ \t]+\w+)"
_CRONTAB = re.compile(rf"(?:^|[\s\"'(])({_FIELDS}|{_WORDS})[ \t]+(\S.*)$")
_TARGET = re.compile(
    r"(?P<command>(?:[\w./~-]*manage\.py|django-admin|-m[ \t]+django)[ \t]+(?P<name>[\w-]+))"
    r"|python[\d.]*[ \t]+(?:-(?!m\b)\S+[ \t]+)*-m[ \t]+(?P<module>[A-Za-z_][\w.]*)"
    r"|(?P<script>(?<![\w./-])[\w./~-]*\w\.py)\b(?![ \t]*:)"
)
_PUNCTUATION = re.compile(r"[\[\]\"',]|\n\s*-[ \t]|\\\n")
_TIMED = re.compile(
    r"(?m)^\s*(OnCalendar|OnUnitActiveSec|OnUnitInactiveSec|OnBootSec)\s*=\s*(\S.*)$"
)
_DOCUMENT = re.compile(r"(?m)^---\s*$|^\s*-\s+(?=type:)|^(?=\s*-\s*(?:key|name):.*\n\s*type:)")
_CRON_JOB = re.compile(r"(?m)^\s*kind:\s*CronJob\b|^\s*(?:-\s+)?type:\s*[\"']?cron\b")
_SCHEDULE = re.compile(r"(?m)^\s*schedule:\s*[\"']?([^\"'#\n]+)")
_LOCKED = re.compile(
    r"\b(?:flock|setlock|lckdo|run-one|with-lock)\b|concurrencyPolicy:\s*[\"']?(?:Forbid|Replace)\b"
)


@dataclass(frozen=True)
class Start:
    """One command. `kind` is module, script, command (of Django) or console; `name` what follows
    from it.
    """

    path: str
    line: int
    text: str
    kind: str
    name: str
    how: str = ""  # crontab, systemd timer, CronJob; "" where no time is written
    when: str = ""  # the written time, e.g. "*/5 * * * *"
    locked: bool = False  # something keeps a second run out: flock, concurrencyPolicy: Forbid

    @property
    def scheduled(self) -> bool:
        """A time is written with it."""
        return bool(self.how)


def is_start_file(path: str) -> bool:
    """A file that may start processes; workflows of a CI are none."""
    named = _IS_TEXT.fullmatch(path.rpartition("/")[2].lower()) or "/cron.d/" in f"/{path}"
    return bool(named) and not _IS_CI.search(path)


def find_starts(path: str, text: str) -> Iterator[Start]:
    """Every command of a file that starts Python code; comments are left out."""
    lines = text.splitlines()
    plain = _PUNCTUATION.sub(lambda found: " " * len(found[0]), text)
    for found in _TARGET.finditer(plain):
        number = text.count("\n", 0, found.start())
        line = lines[number]
        if line.lstrip().startswith(("#", ";", "//")):
            continue
        kind, name = _read_target(found)
        start = Start(path, number + 1, line.strip(), kind, name)
        yield _add_time(start, line, text, found.start())
    yield from _read_console_line(path, lines)


def _read_target(found: re.Match[str]) -> tuple[str, str]:
    """(kind, name) of what a command starts."""
    if found["command"]:
        return "command", found["name"]
    if found["module"]:
        return "module", found["module"]
    return "script", found["script"]


def _read_console_line(path: str, lines: list[str]) -> Iterator[Start]:
    """`*/5 * * * * sweep-orders`: a console script of a crontab line."""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        found = _CRONTAB.search(line)
        # Those are files and modules, which are found by themselves.
        if not found or ".py" in found[2] or " -m " in found[2]:
            continue
        words = without_prefix(found[2]).split()
        # /etc/cron.d names a user first.
        for word in words[:2]:
            name = word.rpartition("/")[2].strip("\"'")
            start = Start(path, number, line.strip(), "console", name)
            yield _add_time(start, line, line, 0)


def _add_time(start: Start, line: str, text: str, offset: int) -> Start:
    """The start with the time that is written for it, where there is one."""
    found = _CRONTAB.search(line)
    if found:
        return replace(start, how="crontab", when=found[1], locked=bool(_LOCKED.search(line)))
    # Ofelia is a scheduler that reads the labels of containers.
    if "ofelia." in line:
        return replace(start, how="ofelia label")
    if not start.path.endswith((".yml", ".yaml")):
        return start
    part = _cut_part(text, offset)
    if not _CRON_JOB.search(part):
        return start
    schedule = _SCHEDULE.search(part)
    when = ""
    if schedule:
        when = schedule[1].strip()
    return replace(start, how="CronJob", when=when, locked=bool(_LOCKED.search(part)))


def _cut_part(text: str, offset: int) -> str:
    """The YAML document, or the service of a list, that holds an offset."""
    cuts = [0, *(found.start() for found in _DOCUMENT.finditer(text)), len(text)]
    begin = max(cut for cut in cuts if cut <= offset)
    return text[begin : min(cut for cut in cuts if cut > offset)]


def timer(path: str, text: str) -> tuple[str, str] | None:
    """(stem of the service, written time) of a systemd timer."""
    if not path.endswith(".timer"):
        return None
    found = _TIMED.search(text)
    if not found:
        return None
    # Without `Unit=`, a timer starts the service of its own name.
    service = path.rpartition("/")[2].removesuffix(".timer")
    unit = re.search(r"(?m)^\s*Unit\s*=\s*(\S+)\.service", text)
    if unit:
        service = unit[1]
    return service, found[2].strip()


def with_timers(starts: Iterable[Start], timers: dict[str, str]) -> Iterator[Start]:
    """The commands, those of a service that a systemd timer starts with the timer's time."""
    for start in starts:
        stem = start.path.rpartition("/")[2].removesuffix(".service")
        if start.path.endswith(".service") and stem in timers:
            # A unit runs once at a time.
            start = replace(start, how="systemd timer", when=timers[stem], locked=True)
        yield start


def resolve(start: Start, paths: Iterable[str]) -> str | None:
    """The Python file that a command starts, of the given ones; None where it starts something
    else.
    """
    candidates = _list_candidates(start, paths)
    return min(candidates, key=lambda path: (path.count("/"), path), default=None)


def _list_candidates(start: Start, paths: Iterable[str]) -> list[str]:
    """The files that a command may mean; the one nearest to the root is taken."""
    # A wrapper may name a command of Django: run.sh NAME.
    if start.kind in ("command", "console"):
        command = f"management/commands/{start.name.replace('-', '_')}.py"
        return [path for path in paths if path.endswith(command)]
    if start.kind == "module":
        return _list_modules(start.name.replace(".", "/"), paths)
    if start.kind == "script":
        return _list_scripts(start.name, paths)
    return []


def _list_modules(tail: str, paths: Iterable[str]) -> list[str]:
    found = []
    for path in paths:
        is_module = _ends_with_path(path, f"{tail}.py")
        if is_module or _ends_with_path(path, f"{tail}/__main__.py"):
            found.append(path)
    # -m celery is no shop/x/celery.
    if "/" in tail:
        return found
    return [path for path in found if path.count("/") < 2]


def _list_scripts(name: str, paths: Iterable[str]) -> list[str]:
    """The files whose path ends with as much of the written one as any file's does."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..", "~")]
    for first in range(len(parts)):
        tail = "/".join(parts[first:])
        found = [path for path in paths if _ends_with_path(path, tail)]
        if found:
            return found
    return []


def _ends_with_path(path: str, tail: str) -> bool:
    return path == tail or path.endswith(f"/{tail}")
