"""Runs a repository's own commands: bounded time and memory, nothing left behind, a result that can
be recorded.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.text import visible
from skillrun.validations.environment import command_env
from skillrun.validations.output import Output

DEFAULT_TIMEOUT_S = 600.0
# Between SIGTERM and SIGKILL.
GRACE_S = 3.0
# The supervisor's own limit for ending everything, and some.
_END_S = GRACE_S + 10.0
# How often somebody who may stop the command is asked: a person does not notice less.
_ASKED_S = 0.2
_CHUNK = 1 << 16
# Tests that skillrun runs prove nothing by themselves, see `cli/pytest_plugin.py`.
NESTED = "SKILLRUN_NESTED"
_SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(frozen=True)
class CommandResult:
    """What a command did. `output_sha256` covers every byte of stdout and stderr together, `tail`
    is safe to show.
    """

    command: str
    # None: not started, ended by a signal, or ended because of its time limit.
    exit_code: int | None
    signal: int | None
    timed_out: bool
    duration_ms: int
    output_sha256: str
    output_size: int
    tail: str
    survivors: (
        int  # processes that outlived the command and were ended; -1: cannot be seen on this system
    )
    started: bool
    error: str | None  # what kept it from running, in words for a person

    @property
    def ok(self) -> bool:
        """Whether it ran and succeeded."""
        return self.exit_code == 0

    @property
    def words(self) -> str:
        """How it ended, e.g. "exit 2" or "ended by SIGSEGV"."""
        if self.error:
            return self.error
        if self.signal is not None:
            return f"ended by {_name_signal(self.signal)}"
        return f"exit {self.exit_code}" + _find_shell_signal(self.exit_code)

    @property
    def note(self) -> str | None:
        """What to know about processes that it left running; None: nothing."""
        if self.survivors < 0:
            return "descendants outside its process group cannot be seen on this system"
        if self.survivors == 0:
            return None
        return (
            f"it left {self.survivors} process{'es' if self.survivors > 1 else ''} running, which"
            " had to be ended"
        )


def run_validations(
    commands: Mapping[str, str],
    cwd: Path,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    *,
    on_start: Callable[[str, str], None] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Iterator[tuple[str, CommandResult]]:
    """Run commands by name, one after the other, also after one has failed; `timeout_s` holds for
    each.
    """
    for name, command in commands.items():
        if on_start:
            on_start(name, command)
        yield name, run_command(command, cwd=cwd, timeout_s=timeout_s, on_line=on_line)


def run_command(
    command: str,
    *,
    cwd: Path,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    env: Mapping[str, str] | None = None,
    tail_bytes: int = 16_384,
    on_line: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
    prefix: Sequence[str] = (),
) -> CommandResult:
    """Run a shell line in `cwd` with /dev/null as its input, and end whatever it leaves running.

    `env` None: the user's, see `command_env`. `on_line` gets the newest whole line, ten times a
    second at most.
    `stop` is asked five times a second whether to end it. `prefix` starts it somewhere else, see
    `proof/sandbox`.
    Raises nothing for what a command does; an interrupt (Ctrl-C) ends the command and goes on.
    """
    output = Output(tail_bytes, on_line)
    begin = time.monotonic()
    try:
        watch = _start(command, cwd, command_env(cwd) if env is None else env, prefix)
    except (OSError, ValueError) as error:
        return _make_result(command, output, begin, error=_explain_not_started(cwd, error))
    with watch:
        watch.follow(output, begin + timeout_s, stop)
    return _read_result(command, output, begin, watch, timeout_s)


class _Watch:
    """The running supervisor as skillrun sees it: its reports, the output, and the pipe that keeps
    it alive.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        output_fd: int,
        report_fd: int,
        life_fd: int,
        *,
        sees_pids: bool,
    ) -> None:
        self.process = process
        self._sees_pids = (
            sees_pids  # False: the numbers that are reported are those of another namespace
        )
        self.reports: dict[str, dict[str, int | None]] = {}
        self.ended_at: float | None = None
        self._output_fd, self._report_fd, self._life_fd = output_fd, report_fd, life_fd
        self._deadline = float("inf")
        self._asked_to_end = False
        self._stop: Callable[[], bool] | None = None
        self._unread = b""

    @property
    def timed_out(self) -> bool:
        """Whether the time limit came before the command's own end."""
        return self._asked_to_end and "exited" not in self.reports

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        """End what runs, however we got here; an impatient second Ctrl-C leaves that to the
        supervisor.
        """
        self._ask_supervisor_to_end()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._end_without_help()
        finally:
            self._read_reports()
            if "done" not in self.reports:
                self._end_group()
            os.close(self._output_fd)
            os.close(self._report_fd)

    def follow(
        self, output: Output, deadline: float, stop: Callable[[], bool] | None = None
    ) -> None:
        """Take output and reports until everything has ended; at the deadline, ask for the end."""
        self._deadline, self._stop = deadline, stop
        with selectors.DefaultSelector() as selector:
            selector.register(self._output_fd, selectors.EVENT_READ)
            selector.register(self._report_fd, selectors.EVENT_READ)
            while self._wait_for_next(selector, output):
                pass
        self._drain_output(output)

    def _wait_for_next(self, selector: selectors.BaseSelector, output: Output) -> bool:
        """Waits for the next output or report. False when all has ended, or the supervisor does not
        come to an end.
        """
        if not self._take_ready(selector, output):
            return False
        if self._stop is not None and self._stop() and not self._asked_to_end:
            self._deadline = time.monotonic()
        return "done" not in self.reports and (
            time.monotonic() < self._deadline or self._ask_to_end()
        )

    def _take_ready(self, selector: selectors.BaseSelector, output: Output) -> bool:
        """Waits for output and reports, until the deadline, and takes them. False once the
        supervisor reports no more.
        """
        wait = max(0.0, self._deadline - time.monotonic())
        if self._stop:
            wait = min(wait, _ASKED_S)
        for key, _ in selector.select(wait):
            if key.fd == self._output_fd and not self._take_output(output):
                # Every writer has closed it.
                selector.unregister(self._output_fd)
            if key.fd == self._report_fd and not self._read_reports():
                return False
        return True

    def _ask_to_end(self) -> bool:
        """Asks the supervisor to end the command. False where that makes no sense: it was asked
        before, or the command has ended.
        """
        if self._asked_to_end or self.ended_at is not None:
            return False
        self._asked_to_end = True
        self._deadline = time.monotonic() + _END_S
        self._ask_supervisor_to_end()
        return True

    def _take_output(self, output: Output) -> bool:
        """Takes the output that is there. False once every writer has closed it."""
        try:
            chunk = os.read(self._output_fd, _CHUNK)
        except BlockingIOError:
            return True
        output.add(chunk)
        return bool(chunk)

    def _drain_output(self, output: Output) -> None:
        """Takes what is left in the pipe, without waiting for more: a process that could not be
        ended may hold it open.
        """
        deadline = time.monotonic() + 1.0
        with contextlib.suppress(BlockingIOError):
            while time.monotonic() < deadline and (chunk := os.read(self._output_fd, _CHUNK)):
                output.add(chunk)

    def _read_reports(self) -> bool:
        """Reads what the supervisor reports. False once it will report no more."""
        try:
            chunk = os.read(self._report_fd, _CHUNK)
        except BlockingIOError:
            return True
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            report = json.loads(line)
            self.reports[report.pop("event")] = report
        if self.ended_at is None and self.reports.keys() & {"exited", "done"}:
            self.ended_at = time.monotonic()
            self._deadline = self.ended_at + _END_S
        return bool(chunk)

    def _ask_supervisor_to_end(self) -> None:
        """Closes the pipe that keeps the supervisor alive: it sees that, and ends everything."""
        if self._life_fd >= 0:
            os.close(self._life_fd)
            self._life_fd = -1

    def _end_without_help(self) -> None:
        """Ends what runs below a supervisor that hangs, and the supervisor itself. The command may
        have stopped it, but what is below it can still be found.
        """
        from skillrun.validations.supervisor import descendants

        if sys.platform.startswith("linux"):
            for pid in descendants(self.process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def _end_group(self) -> None:
        """Ends the command's process group: where the supervisor was killed, nothing else can be
        found.
        """
        pid = self.reports.get("started", {}).get("pid")
        if pid and self._sees_pids:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


def _start(command: str, cwd: Path, env: Mapping[str, str], prefix: Sequence[str]) -> _Watch:
    """Start the supervisor in its own session: Ctrl-C reaches skillrun alone, and nothing can ask
    on the terminal.
    """
    with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as theirs:
        output_fd, output_end = _open_pipe(on_failure, theirs)
        report_fd, report_end = _open_pipe(on_failure, theirs)
        life_end, life_fd = _open_pipe(theirs, on_failure)
        process = subprocess.Popen(
            [*prefix, *_spell_supervisor(report_end, life_end), command],
            cwd=cwd,
            env={**env, NESTED: "1"},
            stdin=subprocess.DEVNULL,
            stdout=output_end,
            stderr=output_end,
            pass_fds=(report_end, life_end),
            start_new_session=True,
        )
        on_failure.pop_all()
    os.set_blocking(output_fd, False)
    os.set_blocking(report_fd, False)
    return _Watch(process, output_fd, report_fd, life_fd, sees_pids=not prefix)


def _spell_supervisor(report_end: int, life_end: int) -> list[str]:
    """The command line of the supervisor. `report_end`, `life_end`: the descriptors that it is
    given.
    """
    own = [sys.executable, "-I", "-S", "-B", str(_SUPERVISOR)]
    return [*own, str(report_end), str(life_end), str(GRACE_S)]


def _open_pipe(
    read_owner: contextlib.ExitStack, write_owner: contextlib.ExitStack
) -> tuple[int, int]:
    """A new pipe, as its reading and its writing descriptor. Each is closed by its owner."""
    read_fd, write_fd = os.pipe()
    read_owner.callback(os.close, read_fd)
    write_owner.callback(os.close, write_fd)
    return read_fd, write_fd


def _read_status(done: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """(exit code, signal) with which a command ended; None for what is not known of it."""
    status = None
    if done is not None:
        status = done["status"]
    exit_code = signal_number = None
    if status is not None and os.WIFEXITED(status):
        exit_code = os.WEXITSTATUS(status)
    if status is not None and os.WIFSIGNALED(status):
        signal_number = os.WTERMSIG(status)
    return exit_code, signal_number


def _read_result(
    command: str, output: Output, begin: float, watch: _Watch, timeout_s: float
) -> CommandResult:
    """The result of a command whose supervisor has ended, or does not answer any more."""
    done = watch.reports.get("done")
    error = None
    exit_code, signal_number = _read_status(done)
    if watch.timed_out:
        exit_code, error = None, f"ended at its time limit of {timeout_s:g} s"
    elif done is None:
        how = _describe_end(watch.process.returncode)
        error = f"the process that watches over it was ended ({how})"
    elif done["left"]:
        error = f"{done['left']} of its processes could not be ended"
    elif exit_code in (126, 127):
        error = _explain_missing_program(exit_code, output)
    return _make_result(
        command,
        output,
        begin,
        end=watch.ended_at,
        exit_code=exit_code,
        signal_number=signal_number,
        timed_out=watch.timed_out,
        survivors=(done["survivors"] or 0) if done else 0,
        started="started" in watch.reports,
        error=error,
    )


def _make_result(
    command: str,
    output: Output,
    begin: float,
    *,
    end: float | None = None,
    exit_code: int | None = None,
    signal_number: int | None = None,
    timed_out: bool = False,
    survivors: int = 0,
    started: bool = False,
    error: str | None = None,
) -> CommandResult:
    """The result of a command, with what its output was. `end`: when it ended; None: now."""
    seconds = (time.monotonic() if end is None else end) - begin
    return CommandResult(
        command=command,
        exit_code=exit_code,
        signal=signal_number,
        timed_out=timed_out,
        duration_ms=round(seconds * 1000),
        output_sha256=output.sha256(),
        output_size=output.size,
        tail=output.tail(),
        survivors=survivors,
        started=started,
        error=error,
    )


def _explain_not_started(cwd: Path, error: Exception) -> str:
    """Why a command could not be started, as its result says it."""
    if not cwd.is_dir():
        return f"not started: there is no folder {visible(str(cwd))}"
    return f"not started: {visible(str(error))}"


def _explain_missing_program(exit_code: int, output: Output) -> str:
    """What the exit codes 127 and 126 mean. They come from the shell, whose last line names the
    program.
    """
    reason = "a program could not be executed"
    if exit_code == 127:
        reason = "a program was not found"
    last_line = output.tail().strip().rpartition("\n")[2]
    return f"exit {exit_code}: {reason}" + (f" ({last_line[:200]})" if last_line else "")


def _describe_end(returncode: int) -> str:
    """How the supervisor itself ended: "exit 2", "SIGSEGV"."""
    if returncode < 0:
        return _name_signal(-returncode)
    return f"exit {returncode}"


def _name_signal(number: int) -> str:
    """The name of a signal; "signal N" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _find_shell_signal(exit_code: int | None) -> str:
    """The signal that an exit code tells of, for the end of a message: a shell says 128+n when a
    program that it ran was ended by signal n. "" where it tells of none.
    """
    known = exit_code is not None and exit_code - 128 in set(signal.Signals)
    if not known:
        return ""
    return f" ({_name_signal((exit_code or 0) - 128)})"
