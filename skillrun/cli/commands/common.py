"""What several commands share: pairs on the command line, JSON on stdout, plain tables."""

from __future__ import annotations

import contextlib
import json as json_module
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Misuse
from skillrun.core.text import masked, masked_json, safe_json, visible

if TYPE_CHECKING:
    from skillrun.cli.options import Format
    from skillrun.repo.git import Repo

# Characters of a cell that shows sixty.
_LOOKED_AT = 2_000
# Outcome -> exit code; the others are in errors.py.
EXIT_CODES = {
    "success": 0,
    "partial": 1,
    "blocked": 3,
}


def pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE options as a mapping. Raises Misuse for one without "="."""
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise Misuse(f"{option} {text}: no =", hint=f"{option} NAME=VALUE")
        found[name] = value
    return found


def lists(option: str, given: Iterable[str]) -> dict[str, list[str]]:
    """As `pairs`, and a name may come several times."""
    found: dict[str, list[str]] = {}
    for text in given:
        for name, value in pairs(option, [text]).items():
            found.setdefault(name, []).append(value)
    return found


def print_json(value: Any, *, is_masked: bool = False) -> None:
    """One document on stdout, masked; ASCII, so that no bidi or control character of a repository
    reaches a terminal.

    `is_masked`: its parts were, when they were made; a repeated run has no time to look again.
    """
    from skillrun.reports.watchers import show

    if not is_masked:
        value = masked_json(value)
    show(json_module.dumps(safe_json(value), indent=2, ensure_ascii=True))


def chosen_format(given: Format | None, json: bool) -> Format:
    """What --format and --json say together. Raises Misuse where they differ."""
    from skillrun.cli.options import Format

    if json and given not in (None, Format.JSON):
        raise Misuse(
            f"--json and --format {given}: one of the two", hint="--json is short for --format json"
        )
    if json:
        return Format.JSON
    return given or Format.TABLE


def print_rows(
    format: Format, columns: Sequence[str], rows: Iterable[Sequence[Any]], document: Any
) -> None:
    """Rows as the format says; JSON is the document."""
    from skillrun.reports.rows import csv_text, markdown_text
    from skillrun.reports.watchers import show

    if format == "json":
        print_json(document)
    elif format == "table":
        print_table(columns, rows)
    else:
        show((csv_text if format == "csv" else markdown_text)(columns, rows))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as their content, at most 60; plain text, safe for a terminal."""
    shown = [list(columns)]
    for row in rows:
        shown.append([_cell(value) for value in row])
    widths = []
    for column in zip(*shown, strict=True):
        widths.append(max(map(len, column)))
    shown.insert(1, ["-" * width for width in widths])
    for row in shown:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | dict):
        text = json_module.dumps(value, ensure_ascii=False)
    else:
        text = str(value)
    return visible(masked(text[:_LOOKED_AT]), limit=60)


def ledger_of(repo: Path, ledger: Path | None) -> Path:
    """The ledger that a reading command means; with `--ledger` no repository is needed."""
    import os

    from skillrun.repo.git import open_repo
    from skillrun.runner.target import ledger_path

    if ledger is not None:
        return ledger.absolute()
    if os.environ.get("SKILLRUN_LEDGER"):
        return Path(os.environ["SKILLRUN_LEDGER"]).absolute()
    return ledger_path(open_repo(repo), None)


@contextlib.contextmanager
def reading(ledger: str | None, *, anew: bool = False) -> Iterator[tuple[Path | None, str | None]]:
    """The file that `--ledger` means to a reading command, and what to call it where that is not
    its path.

    Of a ledger in PostgreSQL it is a local copy, brought up to date, or made `anew`; nobody is
    shown its path.
    """
    given = _url(ledger)
    if given is None:
        yield None if ledger is None else Path(ledger), None
        return
    import tempfile

    from skillrun.core.errors import SkillrunError
    from skillrun.ledger.shipping.mirror import refresh_mirror
    from skillrun.ledger.shipping.server import hide_secrets

    with (
        tempfile.TemporaryDirectory(prefix="skillrun-copy-")
        if anew
        else contextlib.nullcontext() as folder
    ):
        copy = refresh_mirror(given, Path(folder) if folder else None)
        try:
            yield copy, hide_secrets(given)
        except SkillrunError as error:
            raise type(error)(
                error.message.replace(str(copy), hide_secrets(given)), hint=error.hint
            ) from error


def _url(ledger: str | None) -> str | None:
    import os

    given = ledger or os.environ.get("SKILLRUN_LEDGER") or ""
    if not given.startswith(("postgresql://", "postgres://")):
        return None
    return given


def checkout(repo: Path) -> Repo | None:
    """The repository, None where there is none: for commands that can do without."""
    from skillrun.core.errors import RepoUnusable
    from skillrun.repo.git import open_repo

    try:
        return open_repo(repo)
    except RepoUnusable:
        return None
