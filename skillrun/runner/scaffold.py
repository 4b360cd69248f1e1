"""`--implement scaffold`: skillrun writes the work itself, shown first, all or nothing, and
verifies the run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Misuse, Refused
from skillrun.core.files import Files, write
from skillrun.core.tally import count_things
from skillrun.ledger.store import Ledger
from skillrun.runner.advance import advance, case_of, open_gate
from skillrun.runner.changes import Plan
from skillrun.runner.patch import describe_change
from skillrun.runner.planned import match_stages
from skillrun.runner.plugins import skill_code
from skillrun.runner.report import finding_json

if TYPE_CHECKING:
    from skillrun.runner.case import Case
    from skillrun.runner.changes import Change, Kept
    from skillrun.runner.coded import Writer
    from skillrun.runner.target import Request
    from skillrun.runner.watcher import Watcher
    from skillrun.validations.consent import CommandPlan

STAYS = "is there already and stays as it is"
_AGAIN = "run the same command again"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Scaffolded:
    """The report of the run as it is now, and the findings (as in a report) that come first: then
    nothing was written.

    `plan` is None where the run's own findings, which its report has, were in the way.
    """

    report: dict[str, Any]
    plan: Plan | None = None
    missing: tuple[dict[str, Any], ...] = ()


def scaffold(
    request: Request, watcher: Watcher, tell: Tell, report: dict[str, Any] | None = None
) -> Scaffolded:
    """Advances, plans, says what it will write, writes all of it or nothing, and advances again.

    `report`: of a run that has just been advanced by the same request.

    Raises what `advance` and the plan refuse, Misuse for a skill that is about no job, and Refused
    where a file cannot be written or has changed since it was planned; then no file is different.
    """
    writer = make_writer(case_of(request))
    if report is None:
        report = advance(request, watcher)
    if first := writer.find_obstacles(report["stages"]):
        findings = count_things(len(first), "finding")
        tell(f"nothing was written: {findings} above must be answered first")
        return Scaffolded(report)
    again = replace(request, waive={}, attest={}, evidence={}, new_run=False)
    plan = writer.plan_changes(case_of(again))
    if plan.missing:
        missing = tuple(finding_json(finding) for finding in plan.missing)
        return Scaffolded(_block_on_missing(report, missing, writer.STAGE), plan, missing)
    _say_plan(plan, tell)
    if plan.changes:
        _write_and_record(again, watcher, tell, plan, report)
        report = advance(again, watcher, lambda case: _mark_proved(case, tell))
    # Where the proof of an earlier run still holds.
    _mark_proved(case_of(again), tell)
    return Scaffolded(report, plan)


def make_writer(case: Case) -> Writer[Any]:
    """What writes the work of a skill. Raises Misuse for a skill that writes none."""
    make = skill_code(case.skill.name).writer
    if make is None:
        raise Misuse(
            f"--implement scaffold: {case.skill.name} writes no job",
            hint="a coded skill with a writer does: skillrun list names the skills",
        )
    return make()


def _write_and_record(
    request: Request, watcher: Watcher, tell: Tell, plan: Plan, report: Mapping[str, Any]
) -> None:
    """The files, formatted where somebody agreed, and the event with their hashes as they are
    then.
    """
    from skillrun.runner import written

    case = case_of(request)
    path, root = Path(report["ledger"]["path"]), case.root
    written.begin(path, report["run"]["id"], plan)
    try:
        _write_changes(root, plan.changes)
    except Refused:
        written.drop(path)
        raise
    notes, ran = _format_written(request, case, watcher, plan)
    for note in notes:
        tell(f"  note: {note}")
    with Ledger.open(path) as ledger:
        written.record(ledger, path, root, ran)


def _format_written(
    request: Request, case: Case, watcher: Watcher, plan: Plan
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The repository's formatters over the files that were written, with consent: what to know,
    what ran.
    """
    gate = open_gate(request, watcher, case.repo)
    ran: list[str] = []

    def ask(commands: CommandPlan) -> bool:
        given = gate.allows(commands)
        if given:
            ran.extend(commands.shown)
        return given

    notes = make_writer(case).format_files(case, plan, ask, watcher.output)
    return notes, tuple(ran)


def _mark_proved(case: Case, tell: Tell) -> None:
    """Marks in what was written what the proof has seen."""
    marked = make_writer(case).mark_proof(case)
    if marked is not None:
        change, said = marked
        _write_changes(case.root, [change])
        case.tree.forget(change.path)
        tell(said)


def preview(request: Request) -> tuple[Plan, tuple[dict[str, Any], ...]]:
    """(the plan, what comes first as findings of a report). Reads files and writes none; no
    repository code runs.

    With something in the way the plan is empty. Raises as `scaffold` does.
    """
    case = case_of(request)
    writer = make_writer(case)
    if first := writer.find_obstacles(_examine_gates(case, writer)):
        return Plan(), tuple(first)
    plan = writer.plan_changes(case)
    _check_changes(case.root, plan.changes)
    return plan, tuple(finding_json(finding) for finding in plan.missing)


def _examine_gates(case: Case, writer: Writer[Any]) -> list[dict[str, Any]]:
    """The stages that come first, read now; as a report has them, in short."""
    found = []
    for planned in match_stages(case.skill)[0]:
        stage = planned.stage
        if stage.ID in writer.GATES:
            result = stage.examine(case)
            findings = [finding_json(finding) for finding in result.findings]
            found.append({"id": stage.ID, "status": result.status, "findings": findings})
    return found


def _block_on_missing(
    report: dict[str, Any], missing: Sequence[dict[str, Any]], blocked: str
) -> dict[str, Any]:
    """The report with what has to be decided first: among the findings of the stage that the work
    is for, and next.
    """
    stages = []
    for stage in report["stages"]:
        if stage["id"] == blocked:
            stage = {**stage, "findings": [*stage["findings"], *missing]}
        stages.append(stage)
    actions = []
    for finding in missing:
        actions.append({"stage": blocked, "action": "decide", "detail": _spell_finding(finding)})
    return {**report, "outcome": "blocked", "stages": stages, "next": [*actions, *report["next"]]}


def _spell_finding(finding: dict[str, Any]) -> str:
    if finding["hint"]:
        return f"{finding['message']}: {finding['hint']}"
    return str(finding["message"])


def _say_plan(plan: Plan, tell: Tell) -> None:
    if plan.changes:
        tell(f"writing {count_things(len(plan.changes), 'file')}")
    for change in plan.changes:
        tell(f"  {describe_change(change)}")
    for kept in plan.kept:
        for text in kept_lines(kept):
            tell(text)
    for note in plan.notes:
        tell(f"  note: {note}")
    if not plan.changes:
        tell("nothing to write")


def kept_lines(kept: Kept) -> list[str]:
    """What stays, and its difference from what would have been written."""
    return [
        f"{kept.path}:{kept.line}: {kept.name} {STAYS}",
        *(f"    {line}" for line in kept.diff.splitlines()),
    ]


def _check_changes(root: Path, changes: Sequence[Change]) -> Files:
    """The files of a plan with their new content in memory. Raises Refused for what may not, or no
    longer, be written.

    Two names that a symbolic link makes one file would be two changes of it: that is refused as
    well.
    """
    files = Files(root)
    places = [files.folder(change.path) for change in changes]
    if len(set(places)) < len(places):
        names = ", ".join(change.path for change in changes)
        raise Refused(
            f"{names}: two of these are one file; nothing was written",
            hint="replace the symbolic link",
        )
    for change in changes:
        before = None
        if change.before is not None:
            before = change.before.encode()
        if files.data(change.path) != before:
            raise Refused(
                f"{change.path}: somebody else has just changed it; nothing was written",
                hint=_AGAIN,
            )
        files.put(change.path, change.after.encode())
    return files


def _write_changes(root: Path, changes: Sequence[Change]) -> None:
    write(root, _check_changes(root, changes).changes())
