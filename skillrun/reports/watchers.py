"""Those who look on while a run advances: a person at a terminal, a pipe, or a program that wants
JSON alone.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.text import visible
from skillrun.reports.lines import Line, header_lines, line, stage_line, stage_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from skillrun.validations.consent import CommandPlan, Question

_STYLES = {
    "passed": "green",
    "failed": "red",
    "blocked": "yellow",
    "pending": "cyan",
    "waived": "magenta",
    "not_applicable": "dim",
    "dim": "dim",
    "bold": "bold",
    "": "",
}


class Silent:
    """For --json: nothing but the document goes to stdout. It cannot be asked."""

    asks = False  # whether a person is there to answer
    begun = False  # whether the header and the stages were shown
    shows_all = False  # whether each finding is shown with its stage

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        """The run begins, with these stages: (id, title)."""

    def stage_begins(self, stage: str) -> None:
        """A stage is at work."""

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        """A stage has come to its result."""

    def output(self, line: str) -> None:
        """A command wrote a line."""

    def waits(self, holder: str) -> None:
        """Another invocation has the run; without a word this would look like a hang."""
        print(
            f"skillrun: waiting for another invocation of this run: {visible(holder)}",
            file=sys.stderr,
            flush=True,
        )

    def may_run(self, question: Question) -> str | None:
        """Asks a person whether commands may run: how consent was given, or None."""
        return None

    def runs(self, plan: CommandPlan) -> None:
        """Commands that are allowed run now."""

    def may_write(self) -> bool:
        """Asks a person whether skillrun is to write the job."""
        return False

    def leaves(self) -> None:
        """The run has ended, or was interrupted."""

    def show(self, shown: Line) -> None:
        """One line of the closing words."""


class Telling(Silent):
    """As --json, and each step is told on a descriptor that the caller gave, as a JSON line {done,
    of, what}.
    """

    def __init__(self, fd: int) -> None:
        self.fd, self.done, self.of = fd, 0, 0

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        self.of = len(stages)

    def stage_begins(self, stage: str) -> None:
        tell(self.fd, self.done, self.of, stage)

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        self.done += 1
        tell(self.fd, self.done, self.of, f"{stage['id']}: {stage['status']}")

    def output(self, line: str) -> None:
        tell(self.fd, self.done, self.of, line)


class Plain(Silent):
    """Plain lines, no colour: piped, or inside an agent."""

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        self.begun = True
        for shown in header_lines(header):
            self.show(shown)

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        if not self.shows_all:
            self.show(stage_line(stage))
            return
        for shown in stage_lines(stage):
            self.show(shown)

    def runs(self, plan: CommandPlan) -> None:
        """What was allowed before is shown again, each time that it runs."""
        self.show(line(2, ("dim", f"runs: {'; '.join(plan.shown)}"), hang=11))

    def show(self, shown: Line) -> None:
        show(shown.text.rstrip())


class Live(Plain):
    """A terminal: a spinner with the stage at work and the newest line of its command, then the
    stage in colour.
    """

    asks = True
    asking = (
        "Asked once for this working tree and commit; what you edit or commit here asks nothing"
        " more."
    )

    def __init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(highlight=False, markup=False, emoji=False)
        self.status: Status | None = None
        self.stage = ""
        self.titles: dict[str, str] = {}

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        self.titles = dict(stages)
        super().begins(header, stages)

    def stage_begins(self, stage: str) -> None:
        self.stage = self.titles.get(stage, stage)
        self._show_spinner(self.stage)

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        self._stop_spinner()
        super().stage_ends(stage)

    def output(self, line: str) -> None:
        # The spinner, the colon and some air take eight columns; a narrow terminal may wrap.
        room = max(self.console.width - len(self.stage) - 8, 10)
        self._show_spinner(f"{self.stage}: {visible(line, limit=room)}")

    def waits(self, holder: str) -> None:
        self._show_spinner(f"waiting for another invocation of this run: {visible(holder)}")

    def may_run(self, question: Question) -> str | None:
        """Shows the commands and asks; only yes is yes."""
        if not sys.stdin.isatty():
            return None
        self._stop_spinner()
        self.show(line(0))
        self.show(line(0, ("bold", f"In {question.root}, {question.commit}, skillrun would run:")))
        for plan in question.plans:
            self.show(line(2, ("dim", f"to {plan.purpose}:")))
            for command in plan.shown:
                self.show(line(4, ("", command)))
        self.show(line(0, ("dim", self.asking)))
        if not self._ask_yes_or_no("Run them?"):
            return None
        return "terminal"

    def runs(self, plan: CommandPlan) -> None:
        self._stop_spinner()
        super().runs(plan)

    def may_write(self) -> bool:
        """Asks a person; a pipeline that has a terminal is none."""
        from skillrun.core.actor import ActorKind, who

        if not sys.stdin.isatty() or who().kind != ActorKind.HUMAN:
            return False
        self._stop_spinner()
        self.show(line(0))
        self.show(line(0, ("bold", "skillrun can write this job: handler, store, tests, notes.")))
        return self._ask_yes_or_no("Write it now?")

    def _ask_yes_or_no(self, question: str) -> bool:
        try:
            answer = self.console.input(f"{question} [y/N] ", markup=False)
        except EOFError:
            return False
        return answer.strip().lower() in ("y", "yes")

    def show(self, shown: Line) -> None:
        from rich.padding import Padding
        from rich.text import Text

        text = Text()
        for style, part in shown.parts:
            text.append(part, style=_STYLES[style])
        text.rstrip()
        if len(text) + shown.indent <= self.console.width:
            self.console.print(Padding(text, (0, 0, 0, shown.indent)))
            return
        if shown.is_cut:
            text.truncate(self.console.width - shown.indent, overflow="ellipsis")
            self.console.print(Padding(text, (0, 0, 0, shown.indent)))
            return
        width = max(self.console.width - max(shown.hang, shown.indent), 20)
        first, *rest = text.wrap(self.console, width)
        self.console.print(Padding(first, (0, 0, 0, shown.indent)))
        for more in rest:
            self.console.print(Padding(more, (0, 0, 0, shown.hang)))

    def leaves(self) -> None:
        self._stop_spinner()

    def _show_spinner(self, words: str) -> None:
        from rich.text import Text

        if self.status is None:
            self.status = self.console.status(Text(words), spinner="dots")
            self.status.start()
        else:
            self.status.update(Text(words))

    def _stop_spinner(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None


def show(text: str) -> None:
    """A text on stdout. Where nobody reads on, the work goes on, and the exit code still says what
    came of it.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        leave_pipe()


def leave_pipe() -> None:
    """Nobody reads stdout any more: what is still to be written goes nowhere."""
    import os

    # Not closed: the interpreter flushes stdout when it ends, and would fail there once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def progress_fd() -> int | None:
    """SKILLRUN_PROGRESS_FD: where a caller that started us with --json wants to be told how far we
    are.

    Only a pipe or a socket that was open before anything else of ours: a number alone may be that
    of a file by now.
    """
    import os
    import stat

    # Taken out: a command that we start has other files under these numbers.
    given = os.environ.pop("SKILLRUN_PROGRESS_FD", "")
    if not (given.isascii() and given.isdecimal() and int(given) > 2):
        return None
    try:
        mode = os.fstat(int(given)).st_mode
        os.set_inheritable(int(given), False)
    except OSError:
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return None
    return int(given)


def tell(fd: int, done: int, of: int, what: str) -> None:
    """One step; where nobody listens, or not fast enough, the work goes on without a word."""
    import contextlib
    import json
    import os
    import select

    told = {"done": done, "of": of or None, "what": visible(what, limit=200)}
    with contextlib.suppress(OSError, ValueError):
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, json.dumps(told).encode() + b"\n")


def watcher_for(*, json: bool, shows_all: bool = False) -> Silent:
    """JSON: silent. A terminal that nobody but a person looks at: live. Else plain."""
    if json:
        fd = progress_fd()
        if fd is None:
            return Silent()
        return Telling(fd)
    watcher: Plain = Live() if at_terminal() else Plain()
    watcher.shows_all = shows_all
    return watcher


def at_terminal() -> bool:
    """Whether a person looks at stdout: a terminal, no agent in the environment, no TERM=dumb."""
    import os

    from skillrun.core.actor import who

    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and who().agent is None
