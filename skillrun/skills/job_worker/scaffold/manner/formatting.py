"""The repository's own formatters over files that were just written: its code, so somebody has to
agree first.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from skillrun.repo.git import list_touched, open_repo, take_snapshot
from skillrun.runner.case import AskConsent
from skillrun.validations.consent import CommandPlan
from skillrun.validations.run import run_command

PURPOSE = "format what was written"
_LIMIT_S = 60.0


def format_files(
    root: Path,
    paths: Sequence[str],
    commands: Sequence[str],
    consent: AskConsent,
    on_line: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Runs each command with the files' names behind it, at the root of a repository; what a person
    should know of it.

    Without consent nothing runs. A formatter that fails, or takes over a minute, is a note: the
    files are as they were written, or as it left them. Files beyond the given ones that it changed
    are named.
    """
    if not commands or not paths:
        return ()
    plan = CommandPlan(PURPOSE, tuple(commands))
    if not consent(plan):
        return (f"not formatted, nobody has allowed it yet: {'; '.join(plan.shown)}",)
    repo = open_repo(root)
    before = take_snapshot(repo)
    names = shlex.join(f"./{path}" for path in paths)
    notes = []
    for command in commands:
        for note in _run(command, names, root, on_line):
            notes.append(note)
    more = []
    for path in list_touched(repo, before):
        if path not in paths:
            more.append(path)
    return (*notes, *_beyond(more))


def _run(
    command: str, names: str, root: Path, on_line: Callable[[str], None] | None
) -> Iterable[str]:
    done = run_command(f"{command} {names}", cwd=root, timeout_s=_LIMIT_S, on_line=on_line)
    if not done.ok:
        said = done.tail.strip().splitlines()[-1:]
        yield f"{command}: {done.words}" + "".join(f": {line}" for line in said)


def _beyond(paths: Sequence[str]) -> Iterable[str]:
    if paths:
        shown = ", ".join(paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
        yield f"a formatter changed more than what was written: {shown}"
