"""Every tool is the command line itself, in a process of its own: the same results, and cancelling
it ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.abc

OnProgress = Callable[[float, float | None, str], Awaitable[None]]
"""(done, of how many, what is at work)."""

KINDS = {1: "partial", 2: "misuse", 3: "blocked", 4: "refused", 70: "bug", 130: "interrupted"}
# Between the end of a process and the end of what it wrote.
_LINGER_S = 5.0
# Between asking a process to end and ending it.
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What a command said: its JSON document, or why there is none."""

    code: int
    document: Any
    message: str
    hint: str | None

    @property
    def error(self) -> dict[str, Any]:
        """The refusal: {error, exit_code, message, do}."""
        value = {
            "error": KINDS.get(self.code, "ended"),
            "exit_code": self.code,
            "message": self.message,
        }
        return {**value, "do": self.hint}


async def run_command(
    words: Sequence[str], *, actor: str, on_progress: OnProgress | None = None
) -> Answer:
    """Runs `skillrun WORDS --json` to its end. Where the caller is cancelled, so is the process
    with all below it.
    """
    read_fd, write_fd = os.pipe()
    try:
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", "skillrun", *_with_json(words)],
            stdin=subprocess.DEVNULL,
            env=_make_environment(actor, write_fd),
            pass_fds=(write_fd,),
            start_new_session=True,
        )
    finally:
        os.close(write_fd)
    try:
        return await _collect_answer(process, read_fd, on_progress)
    finally:
        os.close(read_fd)
        with anyio.CancelScope(shield=True):
            await _end_process(process)


def _with_json(words: Sequence[str]) -> list[str]:
    """The words with `--json`, before a `--`: what follows that is no option."""
    at = len(words)
    if "--" in words:
        at = words.index("--")
    return [*words[:at], "--json", *words[at:]]


def _make_environment(actor: str, progress_fd: int) -> dict[str, str]:
    """The server's own environment, and where the command tells its progress.

    Who asks is the client's claim, where nobody else has made one.
    """
    from skillrun.core.actor import ActorKind, who

    env = {**os.environ, "SKILLRUN_PROGRESS_FD": str(progress_fd)}
    if who(terminal=False).kind is ActorKind.UNKNOWN:
        env["SKILLRUN_ACTOR"] = f"agent:{actor}"
    return env


async def _collect_answer(
    process: anyio.abc.Process, progress_fd: int, on_progress: OnProgress | None
) -> Answer:
    said = {"out": bytearray(), "err": bytearray()}

    async def collect(name: str, stream: anyio.abc.ByteReceiveStream | None) -> None:
        if stream is not None:
            async for part in stream:
                said[name] += part

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, "out", process.stdout)
        tasks.start_soon(collect, "err", process.stderr)
        tasks.start_soon(_pass_progress_on, progress_fd, on_progress)
        code = await process.wait()
        # Somebody below may hold a pipe open.
        tasks.cancel_scope.deadline = anyio.current_time() + _LINGER_S
    return _read_answer(code, bytes(said["out"]), said["err"].decode("utf-8", "replace"))


def _read_answer(code: int, out: bytes, err: str) -> Answer:
    """What an ended process said: a document on stdout; on stderr `skillrun: ...` and `  do: ...`,
    of which the first counts.
    """
    document = None
    if out.strip():
        with contextlib.suppress(ValueError):
            document = json.loads(out)
    said = []
    hints = []
    for line in err.splitlines():
        if line.startswith("skillrun: "):
            said.append(line.removeprefix("skillrun: "))
        elif line.startswith("  do: "):
            hints.append(line.strip().removeprefix("do: "))
    message = "\n".join(said) or f"skillrun ended with {code}"
    hint = None
    if hints:
        hint = hints[0]
    return Answer(code, document, message, hint)


async def _pass_progress_on(fd: int, on_progress: OnProgress | None) -> None:
    """Hands on what the process reports, a JSON line each."""
    unread = b""
    while True:
        await anyio.wait_readable(fd)
        chunk = os.read(fd, 1 << 16)
        if not chunk:
            return
        *lines, unread = (unread + chunk).split(b"\n")
        for told in map(json.loads, lines):
            if on_progress is not None:
                await on_progress(told["done"], told["of"], told["what"])


async def _end_process(process: anyio.abc.Process) -> None:
    """Ctrl-C first: then it takes back what it has begun. All that is below it ends with it."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.returncode is not None:
            break
        _signal_group(process.pid, number)
        with anyio.move_on_after(_PATIENCE_S):
            await process.wait()
    await process.aclose()


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
