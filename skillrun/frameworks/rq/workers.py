"""Command lines that start RQ: `rq worker`, `rqworker`, `manage.py rqworker`, `rq cron`,
`rqscheduler`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.frameworks.common.joining import whole_command
from skillrun.repo.places import is_aside, is_plainly_test
from skillrun.repo.python import Project
from skillrun.repo.uses import Place

FILES = (
    *(
        "procfile*",
        "dockerfile*",
        "*.dockerfile",
        "makefile",
        "justfile",
        "*.mk",
        "*.sh",
        "*.bash",
        "run",
        "start*",
    ),
    *(
        "*.yml",
        "*.yaml",
        "*.toml",
        "*.service",
        "*.service.*",
        "*.conf",
        "*.conf.*",
        "*.ini",
        "*.cfg",
        "*.tf",
    ),
    *("*entrypoint*", "*worker*", "*rq*", "dev"),
)
_TEXT = re.compile("|".join(glob.replace(".", r"\.").replace("*", ".*") for glob in FILES))
_WORD = re.compile(r"[^\s\"'`,\[\]()]+")
_MODES = {"worker": "worker", "worker-pool": "worker", "cron": "cron"}  # of `rq`
_PROGRAMS = {"rqworker": "worker", "rqworker-pool": "worker", "rqscheduler": "scheduler"}
_MORE_OPTIONS = re.compile(r"\$[@*]|\$\{?\w*(?:ARG|OPT|FLAG|EXTRA|PARAM)\w*\}?.*", re.IGNORECASE)
_WORKER = re.compile(r"\brq worker\b|\brqworker\b")
_COMMENT = ("#", "//", ";")
# Lines of a command that is written as a list, one word a line.
_JOINED = 24


@dataclass(frozen=True)
class Launch:
    """A command line that starts a part of RQ: worker, cron or scheduler (of rq-scheduler)."""

    line: int
    mode: str
    words: tuple[str, ...]  # what follows the program
    text: str

    @property
    def schedules(self) -> bool:
        """A worker that also moves jobs out of the ScheduledJobRegistry."""
        return self.mode == "worker" and (
            self._has_option("--with-scheduler") or self._has_short_option("s")
        )

    @property
    def forgets_failures(self) -> bool:
        """Without the default exception handler nothing enters the FailedJobRegistry."""
        return self.mode == "worker" and (
            self._has_option("--disable-default-exception-handler") or self._has_short_option("d")
        )

    def _has_option(self, option: str) -> bool:
        return any(word == option or word.startswith(f"{option}=") for word in self.words)

    def _has_short_option(self, letter: str) -> bool:
        return any(
            re.fullmatch(rf"-[a-z]*{letter}[a-z]*", word) and word != "-ds" for word in self.words
        )


def find_launches(text: str) -> Iterator[Launch]:
    """Every RQ command line of a file; comments are left out."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if "rq" in line and not line.lstrip().startswith(_COMMENT):
            launch = _read_launch(number, line, _join_command(lines, number))
            if launch:
                yield launch


def _join_command(lines: list[str], number: int) -> str:
    """The command that begins in a line, with backslashes and one-word-a-line lists joined."""
    listed = (
        re.match(r"\s*- [\"']?(?:\S*/)?(?:rq\w*|python3?)[\"']?\s*$", lines[number]) is not None
    )
    return whole_command(lines, number, _JOINED, listed=listed)


def _read_launch(number: int, line: str, whole: str) -> Launch | None:
    words = _WORD.findall(whole)
    for at, word in enumerate(words):
        program = word.rpartition("=")[2].rpartition("/")[2]
        following = ""
        if at + 1 < len(words):
            following = words[at + 1]
        if program in _PROGRAMS:
            return Launch(
                number + 1, _PROGRAMS[program], _until_next(words[at + 1 :]), line.strip()
            )
        if program == "rq" and following in _MODES:
            return Launch(number + 1, _MODES[following], _until_next(words[at + 2 :]), line.strip())
    return None


def _until_next(words: list[str]) -> tuple[str, ...]:
    """The words of one command of a shell line."""
    end = next(
        (at for at, word in enumerate(words) if word in ("&&", "||", "|", ";", "&")), len(words)
    )
    return tuple(words[:end])


def launches_of(project: Project) -> tuple[tuple[str, Launch], ...]:
    """(path, launch) in the files that start processes; read again, because the survey keeps only a
    few.
    """
    return project.remember(("rq.launches",), lambda: tuple(_find_launches(project)))


def _find_launches(project: Project) -> Iterator[tuple[str, Launch]]:
    words = ("rq", *_PROGRAMS)
    for path in sorted({path for word in words for path in project.tree.search(word, "")}):
        name = path.rpartition("/")[2].lower()
        if (
            name.endswith((".py", ".md", ".rst", ".lock"))
            or is_aside(path)
            or not _TEXT.fullmatch(name)
        ):
            continue
        text = (project.tree.read(path) or b"").decode("utf-8", "replace")
        for launch in find_launches(text):
            yield (path, launch)


def unscheduled_workers(project: Project) -> list[tuple[str, Launch]]:
    """The workers that are started, where no scheduler is: not by one of them, and not by the
    repository's code.
    """
    workers = []
    for path, launch in launches_of(project):
        if launch.mode == "worker":
            workers.append((path, launch))
    in_code = (
        module
        for word in ("with_scheduler", "RQScheduler")
        for module in project.modules_with(word)
    )
    if any(_may_schedule(launch) for _, launch in workers) or any(
        not is_plainly_test(module.path) for module in in_code
    ):
        return []
    return workers


def _may_schedule(launch: Launch) -> bool:
    """With a scheduler, or with options that only a shell knows."""
    return launch.schedules or any(_MORE_OPTIONS.fullmatch(word) for word in launch.words)


def with_scheduler(line: str) -> str:
    """A line that starts a worker, with the option; itself where the command is written in another
    way.
    """
    return _WORKER.sub(lambda found: f"{found[0]} --with-scheduler", line, count=1)


def place_of_launch(path: str, launch: Launch) -> Place:
    """Where a command line stands."""
    return Place(path, launch.line, launch.text)
