"""What starts a library's clock beside its worker: sweeps, and retries that wait, come by it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skillrun.core.verdict import Finding
from skillrun.frameworks.known.launchers import Start
from skillrun.wall.diff import File
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.starts import list_starts

# Program -> the words by which its worker runs the clock as well.
_RUNS_CLOCK = {
    "celery": ("-B", "--beat"),
    "rq": ("--with-scheduler", "-s"),
    "rqworker": ("--with-scheduler", "-s"),
}
# Program -> those by which it does not.
_LEAVES_CLOCK = {
    "huey_consumer": ("-n", "--no-periodic"),
    "huey_consumer.py": ("-n", "--no-periodic"),
}
# Commands that are a clock and nothing else.
_IS_CLOCK = ("beat", "scheduler", "rqscheduler")
_HINT = (
    "keep one that starts it: a proof calls the sweeps, and brings what waits, by itself, so that"
    " nothing else tells that nobody does"
)


def find_stopped_clocks(rule: str, files: list[File]) -> Iterator[Finding]:
    """A clock that the base starts in one of the changed files, and that none of these starts any
    more.
    """
    still = set()
    for file in files:
        still |= set(_list_clocks(list_starts(file.path, file.new)))
    for file in files:
        for start in list_starts(file.old_path, file.old):
            (program, *_) = _list_clocks([start]) or [""]
            if not program or program in still:
                continue
            still.add(program)
            line = file.line_of(start.place.line or 1)
            said = f"nobody starts the clock of {program} any more: {quoted(start.command, 300)}"
            yield taken(rule, file, line, said, hint=_HINT)


def _list_clocks(starts: Iterable[Start]) -> list[str]:
    """The programs whose clock some command lines start, each time."""
    found = []
    for start in starts:
        program = start.words[0].rpartition("/")[2]
        if _starts_clock(program, set(start.words[1:])):
            found.append(program)
    return found


def _starts_clock(program: str, options: set[str]) -> bool:
    if program in _LEAVES_CLOCK:
        return options.isdisjoint(_LEAVES_CLOCK[program])
    wanted = (*_IS_CLOCK, *_RUNS_CLOCK.get(program, ()))
    return not options.isdisjoint(wanted)
