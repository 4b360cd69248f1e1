"""`skillrun verify`: everything again from scratch for the committed specs, and what a branch did
to its evidence.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.signals import ended_by_signals
from skillrun.core.errors import Misuse
from skillrun.reports.watchers import Live, Silent, at_terminal, show

if TYPE_CHECKING:
    from skillrun.wall.verification import Verification


def verify(
    repo: Path, base: str | None, formats: list[str], outputs: list[Path], trust: bool, *, ci: bool
) -> int:
    """Verifies, writes what was asked for, and says the outcome by its exit code."""
    from skillrun.wall.verify import Ask
    from skillrun.wall.verify import verify as run

    wanted = _pair_outputs(formats, outputs)
    watcher = _make_watcher(formats, ci=ci)
    with ended_by_signals():
        try:
            verification = run(Ask(repo, base, trust or ci), watcher)
        finally:
            watcher.leaves()
        _write_reports(verification, wanted, formats)
    return verification.exit_code


def _pair_outputs(formats: list[str], outputs: list[Path]) -> list[tuple[str, Path]]:
    """(format, file) pairs. Raises Misuse before anything runs."""
    from skillrun.wall.formats.registry import FORMATS

    for name in formats:
        if name not in FORMATS:
            raise Misuse(
                f"--format {name}: there is no such format", hint=f"one of {', '.join(FORMATS)}"
            )
    if outputs and len(outputs) != len(formats or ["text"]):
        raise Misuse(
            f"{len(formats)} formats and {len(outputs)} output files",
            hint="give each --format its --output, in the same order",
        )
    if len(formats) > 1 and not outputs:
        raise Misuse(
            "several formats cannot share standard output", hint="give each --format its --output"
        )
    for path in outputs:
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise Misuse(
                f"--output {path}: not a file in a folder that exists", hint="make the folder first"
            )
    if not outputs:
        return []
    return list(zip(formats or ["text"], outputs, strict=True))


class _Spinner(Live):
    """A terminal: the stage at work; everything that was found comes at the end, from one value."""

    asking = "Asked for this verification alone; the answer is not kept."

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        self.titles = {stage: f"{header['job']}: {title}" for stage, title in stages}

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        self._stop_spinner()


def _make_watcher(formats: list[str], *, ci: bool) -> Silent:
    """With --ci nobody is asked; nor is where the document goes to a pipe."""
    if not ci and at_terminal() and formats in ([], ["text"]):
        return _Spinner()
    return Silent()


def _write_reports(
    verification: Verification, wanted: list[tuple[str, Path]], formats: list[str]
) -> None:
    """The files, each whole or not at all; on stdout the text, or the one format that has no
    file.
    """
    from skillrun.wall.formats.registry import FORMATS

    for name, path in wanted:
        _replace_file(path, FORMATS[name](verification))
    alone = "text"
    if formats and not wanted:
        alone = formats[0]
    if alone == "text":
        _show_verification(verification)
    else:
        show(FORMATS[alone](verification).rstrip("\n"))


def _show_verification(verification: Verification) -> None:
    from skillrun.reports.watchers import watcher_for
    from skillrun.wall.formats.text import lines

    watcher = watcher_for(json=False)
    for line in lines(verification):
        watcher.show(line)


def _replace_file(path: Path, content: str) -> None:
    """Raises Misuse where it cannot be written."""
    draft = ""
    try:
        handle, draft = tempfile.mkstemp(dir=path.absolute().parent, prefix=".skillrun-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        # The next step of a pipeline may be another user.
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except OSError as error:
        Path(draft).unlink(missing_ok=True) if draft else None
        raise Misuse(
            f"--output {path}: cannot be written: {error.strerror}", hint="name another file"
        ) from error
