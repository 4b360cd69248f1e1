"""`--implement scaffold`, with and without `--dry-run`: the job is written, or its diff is
shown.
"""

from __future__ import annotations

import json as json_module
import sys
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import EXIT_CODES
from skillrun.core.errors import Misuse
from skillrun.runner.scaffold import kept_lines, preview, scaffold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from skillrun.reports.watchers import Silent
    from skillrun.runner.changes import Plan
    from skillrun.runner.target import Request


def write_job(
    request: Request, watcher: Silent, report: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Writes the job of a request and returns the report of the run after it. Raises as `scaffold`
    does.

    `report`: of the run as it is, where it has just been advanced.
    """
    from skillrun.reports.lines import finding_lines, line

    done = scaffold(request, watcher, lambda text: watcher.show(line(0, ("", text))), report)
    for finding in done.missing:
        for shown in finding_lines(finding, indent=2):
            watcher.show(shown)
    if done.missing:
        watcher.show(line(0, ("blocked", "nothing was written: this has to be decided first")))
    return done.report


def show_diff(request: Request, implement: str | None, json: bool) -> int:
    """Prints what a scaffold would write as one diff, and beside it, on stderr, what it would leave
    or lacks.

    Writes nothing; exit code 3 where something has to be decided first. Raises Misuse without
    `--implement scaffold`.
    """
    if implement != "scaffold":
        hint = "skillrun job-worker-orchestration --implement scaffold --dry-run"
        raise Misuse("--dry-run: only what skillrun itself writes can be shown before", hint=hint)
    plan, missing = preview(request)
    if json:
        _print_exactly(
            json_module.dumps(_make_document(plan, missing), indent=2, ensure_ascii=True) + "\n"
        )
    else:
        _print_exactly(_show_diff(plan))
        _print_beside(plan, missing)
    return EXIT_CODES["blocked" if missing else "success"]


def _show_diff(plan: Plan) -> str:
    from skillrun.runner.patch import git_diff

    return "".join(map(git_diff, plan.changes))


def _make_document(plan: Plan, missing: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """scaffold.v1. Its texts are exact, so that the diff can be applied; in JSON's ASCII they steer
    no terminal.
    """
    from dataclasses import asdict

    from skillrun.core.canonical import sha256

    files = []
    for change in plan.changes:
        files.append(
            {
                "path": change.path,
                "new": change.before is None,
                "sha256": sha256(change.after.encode()),
            }
        )
    return {
        "schema_version": 1,
        "diff": _show_diff(plan),
        "files": files,
        "kept": [asdict(kept) for kept in plan.kept],
        "missing": list(missing),
        "notes": _list_notes(plan),
    }


def _print_exactly(text: str) -> None:
    """Exact bytes for a pipe; on a terminal without what would steer it."""
    from skillrun.core.text import visible

    if sys.stdout.isatty():
        text = visible(text, limit=None, lines=True)
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def _list_notes(plan: Plan) -> list[str]:
    """The plan's own, and what is not in the diff: a formatter is the repository's code, and a look
    runs none.
    """
    run = []
    for command in plan.formatters:
        run.append(f"not in this diff: {command} runs over the Python files once they are written")
    return [*plan.notes, *(run if plan.changes else [])]


def _print_beside(plan: Plan, missing: Iterable[Mapping[str, Any]]) -> None:
    from skillrun.core.text import visible
    from skillrun.reports.lines import finding_lines

    lines = []
    for finding in missing:
        for shown in finding_lines(finding, indent=0):
            lines.append(shown.text)
    lines += [text for kept in plan.kept for text in kept_lines(kept)]
    lines += [f"note: {note}" for note in _list_notes(plan)]
    if not plan.changes and not missing:
        lines.append("nothing to write")
    for text in lines:
        print(visible(text, limit=2_000), file=sys.stderr)
