"""`skillrun run SKILL`, also written `skillrun SKILL`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import EXIT_CODES, lists, pairs, print_json
from skillrun.core.text import masked, masked_json
from skillrun.runner.advance import advance
from skillrun.runner.target import Request

SCAFFOLD = "scaffold"
_JOBS_SHOWN = 4  # each takes four lines, and a screen has 24

if TYPE_CHECKING:
    from skillrun.reports.watchers import Silent


def run_skill(
    skill: str,
    repo: Path,
    spec: Path | None,
    set_: list[str],
    waive: list[str],
    attest: list[str],
    evidence: list[str],
    until: str | None,
    new_run: bool,
    trust: bool,
    skill_path: Path | None,
    ledger: Path | None,
    json: bool,
    *,
    implement: tuple[str | None, int, str] = (None, 3, "30m"),
    dry_run: bool = False,
    verbose: bool = False,
) -> int:
    """Advances the run and prints its report; the exit code says the outcome. `dry_run` shows a
    scaffold's diff, `verbose` every finding.
    """
    request = Request(
        skill=skill,
        repo=repo,
        spec=spec,
        skill_path=skill_path,
        ledger=ledger,
        overrides=pairs("--set", set_),
        waive=pairs("--waive", waive),
        attest=pairs("--attest", attest),
        evidence=lists("--evidence", evidence),
        until=until,
        new_run=new_run,
        trust=trust,
    )
    if dry_run:
        from skillrun.cli.commands.scaffold import show_diff

        return show_diff(request, implement[0], json)
    if implement[0] is not None:
        _finish_writing(repo)
    return _advance_and_show(request, implement, json=json, verbose=verbose)


def _advance_and_show(
    request: Request, implement: tuple[str | None, int, str], *, json: bool, verbose: bool
) -> int:
    """The exit code."""
    from skillrun.reports.watchers import Silent, watcher_for

    watcher = watcher_for(json=json, shows_all=verbose)
    if watcher.asks:
        request = _with_spec(request)
    # Stages that all wait for a spec say less than the jobs that there are.
    lacks_spec = not json and _lacks_spec(request)
    try:
        report = _advance_run(request, Silent() if lacks_spec else watcher, implement)
    finally:
        watcher.leaves()
    jobs = None
    if lacks_spec and _waits_for_spec(report):
        jobs = _read_jobs(request)
    if json:
        print_json(report, is_masked=True)
    elif jobs is not None:
        _show_jobs(jobs, report, watcher)
    else:
        _show_report(report, watcher)
    return EXIT_CODES[report["outcome"]]


def _lacks_spec(request: Request) -> bool:
    """Whether the skill asks for a job spec, and the repository has none."""
    from skillrun.core.errors import SkillrunError
    from skillrun.repo.git import open_repo
    from skillrun.runner.plugins import skill_code
    from skillrun.runner.target import the_only_spec

    if request.spec is not None or request.until is not None:
        return False
    try:
        spec = skill_code(request.skill.rpartition("/")[2]).spec
        return spec.is_asked_for and the_only_spec(open_repo(request.repo), spec) is None
    except SkillrunError:
        # The run itself refuses what is wrong, and is on record with it.
        return False


def _read_jobs(request: Request) -> dict[str, Any]:
    """The repository's jobs, as jobs.v1."""
    from skillrun.cli.commands.jobs import open_reader, read_document

    return read_document(open_reader(request.repo, request.ledger))


def _waits_for_spec(report: dict[str, Any]) -> bool:
    findings = [finding for stage in report["stages"] for finding in stage["findings"]]
    return any(finding["rule"] == "contract.no-spec" for finding in findings)


def _show_jobs(jobs: dict[str, Any], report: dict[str, Any], watcher: Silent) -> None:
    """One screen: the jobs, what shows one of them under faults, and what drafts its spec; without
    a job, what was looked for and what leads to one.
    """
    from skillrun.reports.job_lines import job_lines
    from skillrun.reports.lines import header_lines, line

    for shown in header_lines(report["run"]):
        watcher.show(shown)
    for shown in job_lines(masked_json(jobs), most=_JOBS_SHOWN):
        watcher.show(shown)
    words = "there is no job spec yet"
    if not jobs["jobs"]:
        words = "there is no job yet, and no spec of one"
    words = f"blocked: {words}; the stages begin with one (--json has them all)"
    watcher.show(line(0, ("blocked", words)))
    watcher.show(line(0, ("dim", f"then again: {masked(_resume_command())}")))


def _show_report(report: dict[str, Any], watcher: Silent) -> None:
    """What has not been shown while the run went on."""
    from skillrun.reports.lines import closing_lines, line
    from skillrun.reports.run_screen import closing_screen

    # A run that was answered from the one before it has walked no stage, and shown none.
    if not watcher.begun:
        watcher.begins(report["run"], [])
        for stage in report["stages"]:
            watcher.stage_ends(stage)
    if watcher.shows_all:
        closing = closing_lines
    else:
        closing = closing_screen
    for shown in closing(report, _resume_command()):
        watcher.show(shown)
    if _can_be_lost(report):
        words = "git clean deletes the ledger; skillrun ledger anchor keeps its heads in git"
        watcher.show(line(0, ("dim", words)))
    ledger = report["ledger"]
    watcher.show(line(0, ("dim", f"ledger {ledger['path']}  head {ledger['head'][:12]}")))


def _can_be_lost(report: dict[str, Any]) -> bool:
    """Whether a success is on record only in a file that git ignores."""
    from skillrun.ledger.anchors import is_published

    path = Path(report["ledger"]["path"])
    if report["outcome"] != "success" or not path.is_relative_to(report["run"]["repo"]):
        return False
    return not is_published(path, report["run"]["id"])


def _advance_run(
    request: Request, watcher: Silent, options: tuple[str | None, int, str]
) -> dict[str, Any]:
    """By hand, or with somebody who does what is open: an agent, or skillrun itself."""
    if options[0] is None:
        return _with_job(request, watcher, advance(request, watcher))
    if options[0] == SCAFFOLD:
        from skillrun.cli.commands.scaffold import write_job

        return write_job(request, watcher)
    from skillrun.reports.lines import line
    from skillrun.runner.implement import implement, read_implementer

    agent = read_implementer(*options)
    if agent is None:
        return advance(request, watcher)
    return implement(request, watcher, agent, lambda text: watcher.show(line(0, ("bold", text))))


def _with_job(request: Request, watcher: Silent, report: dict[str, Any]) -> dict[str, Any]:
    """On a terminal, asks once whether to write what is missing, where skillrun can."""
    if not watcher.asks or not _can_be_written(report) or not watcher.may_write():
        return report
    from skillrun.cli.commands.scaffold import write_job

    _finish_writing(request.repo)
    return write_job(request, watcher, report)


def _can_be_written(report: dict[str, Any]) -> bool:
    """Whether skillrun itself can write what is missing."""
    from skillrun.runner.plugins import skill_code

    make_writer = skill_code(report["run"]["skill"].rpartition("/")[2]).writer
    return make_writer is not None and make_writer().can_be_written(report)


def _finish_writing(repo: Path) -> None:
    """Before files are read that are about to be written: what a write that died has left is
    finished.
    """
    from skillrun.repo.git import open_to_write

    open_to_write(repo)


def _with_spec(request: Request) -> Request:
    """On a terminal, where there is no spec: drafts the one of a job that is there, else asks for
    its fields.
    """
    from dataclasses import replace

    from skillrun.cli.commands.spec import ask_for_spec, offer_draft
    from skillrun.repo.git import open_repo
    from skillrun.runner.plugins import skill_code
    from skillrun.runner.target import the_only_spec

    repo = open_repo(request.repo)
    spec = skill_code(request.skill.rpartition("/")[2]).spec
    if (
        request.spec is not None
        or not spec.is_asked_for
        or the_only_spec(repo, spec) is not None
        or not sys.stdin.isatty()
    ):
        return request
    _finish_writing(request.repo)
    written = offer_draft(repo.root) or ask_for_spec(repo.root)
    if written:
        return replace(request, spec=written)
    return request


def _resume_command() -> str:
    """The command as it was typed, without what was only said once."""
    once = ("--attest", "--evidence", "--waive", "--new-run", "--verbose", "-v")
    kept: list[str] = []
    skip = False
    for argument in sys.argv[1:]:
        if skip:
            skip = False
        elif argument in once[:3]:
            skip = True
        elif not argument.startswith(once):
            kept.append(argument)
    return shlex.join(["skillrun", *kept])
