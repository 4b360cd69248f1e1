"""`skillrun status | why | next`: where a run stands. They read, and run nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skillrun.cli.commands.common import EXIT_CODES, print_json
from skillrun.reports.lines import (
    disagreement_lines,
    header_lines,
    line,
    next_lines,
    stage_line,
    stage_lines,
)
from skillrun.reports.run_screen import closing_screen
from skillrun.runner.standing import explain, standing


def status(repo: Path, job: str | None, run: str | None, ledger: Path | None, json: bool) -> int:
    """Prints the last report with what has gone stale since; the exit code says the outcome, 1
    where it is stale.
    """
    report = standing(repo, job=job, run=run, ledger=ledger)
    if json:
        print_json(report)
        return _exit_code(report)
    show = _find_show()
    for shown in [
        *header_lines(report["run"]),
        *(row for stage in report["stages"] for row in _brief_lines(stage)),
    ]:
        show(shown)
    if report["open_invocations"]:
        show(
            line(
                0,
                (
                    "blocked",
                    (
                        "an invocation has not ended: it is at work, or it died; the same command"
                        " resumes"
                    ),
                ),
            )
        )
    for shown in closing_screen({**report, "checks": [], "recommendations": []}):
        show(shown)
    if _list_stale(report):
        show(
            line(
                0,
                (
                    "blocked",
                    f"stale since then: {', '.join(_list_stale(report))}; run the skill again",
                ),
            )
        )
    return _exit_code(report)


def why(
    stage: str, repo: Path, job: str | None, run: str | None, ledger: Path | None, json: bool
) -> int:
    """Prints a stage with all its findings, and the files that made it stale."""
    found = explain(standing(repo, job=job, run=run, ledger=ledger), stage)
    if json:
        print_json(found)
        return 0
    show = _find_show()
    for shown in (*stage_lines(found), *disagreement_lines(found)):
        show(shown)
    if found["stale"]:
        show(
            line(
                11,
                ("blocked", f"stale: {', '.join(found['changed'])} changed since this was found"),
            )
        )
    elif found["status"] == "passed":
        show(line(11, ("dim", "nothing that it rests on has changed since")))
    for shown in next_lines(found["next"]):
        show(shown)
    return 0


def next_steps(
    repo: Path, job: str | None, run: str | None, ledger: Path | None, json: bool
) -> int:
    """Prints the work order: what is open, where it lies, how it is written, what will be
    checked.
    """
    from skillrun.runner.standing import find_work_order
    from skillrun.runner.work_orders import is_done, order_lines

    made = find_work_order(repo, job=job, run=run, ledger=ledger)
    if json:
        print_json(made)
    else:
        from skillrun.reports.watchers import show

        for text in order_lines(made):
            show(text)
    return EXIT_CODES[
        "partial" if made["outcome"] == "success" and not is_done(made) else made["outcome"]
    ]


def _brief_lines(stage: dict[str, Any]) -> list[Any]:
    """The stage's own line, and what has changed since."""
    changed = [line(11, ("blocked", f"changed: {name}")) for name in stage.get("changed", ())]
    return [stage_line(stage), *changed]


def _list_stale(report: dict[str, Any]) -> list[str]:
    return [stage["id"] for stage in report["stages"] if stage["stale"]]


def _exit_code(report: dict[str, Any]) -> int:
    code = EXIT_CODES[report["outcome"]]
    if code == 0 and _list_stale(report):
        return 1
    return code


def _find_show() -> Any:
    from skillrun.reports.watchers import watcher_for

    return watcher_for(json=False).show
