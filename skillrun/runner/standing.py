"""Where a run stands, why a stage stands so, and what is next: read from the ledger and the tree,
nothing is run.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Misuse, SkillrunError
from skillrun.core.tally import count_stages
from skillrun.ledger.connection import is_ledger_file
from skillrun.ledger.store import Ledger
from skillrun.repo.git import Repo, open_repo
from skillrun.repo.tree import Tree
from skillrun.runner.repeat import FoundInputs, stored_report, telemetry_row_json
from skillrun.runner.signing import explain_key, find_tampering, is_signed, keep_signed
from skillrun.runner.target import Request, ledger_path, own_files, repo_name
from skillrun.runner.unproved import DISAGREEMENTS

if TYPE_CHECKING:
    from skillrun.runner.case import Case
    from skillrun.runner.coded import Stage

NOT_SIGNED = (
    "the last report of this run was not recorded by skillrun for this user: no run here"
    " believes it"
)
_HEADER = {
    "id": "run_id",
    "skill": "skill",
    "skill_sha": "skill_sha",
    "job": "job",
    "repo": "repo",
    "git_head": "base_commit",
}


def standing(
    repo_path: Path, *, job: str | None = None, run: str | None = None, ledger: Path | None = None
) -> dict[str, Any]:
    """The last report of a run, with `stale` set on each stage whose files, spec or skill have
    changed since.

    Each stale stage also has `changed`, the names of what changed. Raises Blocked where there is no
    run.
    """
    repo = open_repo(repo_path)
    path = ledger_path(repo, ledger)
    if not is_ledger_file(path):
        raise Blocked(
            f"{repo.root}: no run has been made here yet",
            hint="begin one: skillrun SKILL; skillrun list names those that can be run here",
        )
    with Ledger.open(path, read_only=True) as opened:
        row = _choose_run(opened, repo, job, run)
        ended = opened.last_event(row["run_id"], "invocation.ended")
        if ended is None:
            return _report_unfinished(row, path, opened)
        report = stored_report(opened, row["run_id"], ended)
        if not is_signed(ended):
            print(f"skillrun: {explain_unsigned()}", file=sys.stderr, flush=True)
        report["telemetry"] = telemetry_row_json(opened.telemetry(row["run_id"], limit=1)[0])
        report["ledger"] = {"path": str(path), "head": opened.head(row["run_id"])[1]}
        report["open_invocations"] = row["open_invocations"]
        request = _repeat_request(row, repo, path, opened)
        _show_newer_stages(report, ended, opened.latest_stages(row["run_id"]))
        if not _has_same_key(ended["data"]["key"], request):
            _mark_stale(report, row, repo, opened, request)
        return report


def explain_unsigned() -> str:
    """Why the last report of a run is not believed; what to run, where the user's key is the
    cause.
    """
    why = explain_key()
    if why is None:
        return NOT_SIGNED
    return f"{NOT_SIGNED} ({why})"


def is_believed(run_id: str, ledger: Path) -> bool:
    """Whether the last report of a run was recorded by skillrun for this user, and the run is as it
    was written.
    """
    with Ledger.open(ledger, read_only=True) as opened:
        ended = opened.last_event(run_id, "invocation.ended")
        return ended is None or (is_signed(ended) and find_tampering(opened, run_id) is None)


def find_work_order(
    repo_path: Path, *, job: str | None = None, run: str | None = None, ledger: Path | None = None
) -> dict[str, Any]:
    """The work order of where a run stands; see `work_orders.work_orders`. Raises as
    `standing` does.
    """
    from skillrun.runner.work_orders import open_stages, work_orders

    report = standing(repo_path, job=job, run=run, ledger=ledger)
    written = _find_new_spec(report, repo_path)
    if written is not None:
        report["stages"], report["counts"] = [], {}
        report["next"] = [{"stage": "contract", "action": "run", "detail": written}]
    case = None
    if open_stages(report):
        case = _read_case_now(report, open_repo(repo_path))
    return work_orders(report, case)


def _find_new_spec(report: dict[str, Any], repo_path: Path) -> str | None:
    """What to do where a run was made without a spec, and one has been written since; None where
    that is not so.
    """
    from skillrun.runner.plugins import skill_code
    from skillrun.runner.target import NO_JOB, the_only_spec

    spec = skill_code(report["run"]["skill"].rpartition("/")[2]).spec
    if report["run"]["job"] != NO_JOB or spec.from_settings is not None:
        return None
    try:
        found = the_only_spec(open_repo(repo_path), spec)
    except Misuse as several:
        return f"{several.message}; run the skill with --spec FILE"
    if found is None:
        return None
    return f"{found.name} was written since this was found; run the skill again"


def _read_case_now(report: dict[str, Any], repo: Repo) -> Case | None:
    """What the stages would see now; None where it cannot be read, and the order has no places."""
    path = Path(report["ledger"]["path"])
    try:
        with Ledger.open(path, read_only=True) as opened:
            row = opened.run(report["run"]["id"])
            return _reopen_case(row, repo, opened, _repeat_request(row, repo, path, opened))[0]
    except SkillrunError:
        return None


def _choose_run(ledger: Ledger, repo: Repo, job: str | None, run: str | None) -> dict[str, Any]:
    """The named run, else the newest one of the job, else the newest one here."""
    if run is not None:
        return ledger.run(ledger.resolve_run(run))
    runs = ledger.runs(repo=repo_name(repo), job=job, limit=1)
    if runs:
        return runs[0]
    which = ""
    if job:
        which = f"of the job {job} "
    hint = "run the skill"
    for elsewhere in ledger.runs(job=job, limit=1):
        if elsewhere["repo"]:
            hint = f"the ledger holds runs of {elsewhere['repo']}: run the skill here to begin one"
    raise Blocked(f"{repo.root}: no run {which}has been made here yet", hint=hint)


def _report_unfinished(row: dict[str, Any], path: Path, ledger: Ledger) -> dict[str, Any]:
    """The report of a run whose first invocation is at work or died: the stages that it has
    committed.
    """
    skill = row["skill_name"]
    action = {
        "stage": "-",
        "action": "run",
        "detail": f"it is at work, or it died: skillrun run {skill} resumes it",
    }
    committed = ledger.latest_stages(row["run_id"])
    return {
        "schema_version": 1,
        "run": {key: row[column] for key, column in _HEADER.items()},
        "outcome": "partial",
        "stages": [_show_committed(event) for event in committed.values()],
        "checks": [],
        "recommendations": [],
        "next": [action],
        "telemetry": {},
        "ledger": {"path": str(path), "head": ledger.head(row["run_id"])[1]},
        "open_invocations": row["open_invocations"],
    }


def _show_committed(event: dict[str, Any]) -> dict[str, Any]:
    """A stage of the report, from the event that the ledger has of it."""
    result = event["data"]["result"]
    shown = {key: result[key] for key in ("status", "grade", "summary")}
    if DISAGREEMENTS in result["facts"]:
        shown[DISAGREEMENTS] = result["facts"][DISAGREEMENTS]
    findings = []
    for finding in result["findings"]:
        shown_finding = dict(finding)
        shown_finding.pop("recommends", None)
        findings.append(shown_finding)
    return {
        "id": event["stage"],
        "title": event["stage"],
        "step": None,
        **shown,
        "stale": False,
        "cached": False,
        "duration_ms": event["dur_us"] // 1000,
        "findings": findings,
    }


def _repeat_request(row: dict[str, Any], repo: Repo, path: Path, ledger: Ledger) -> Request:
    """A plain repetition of the run's latest invocation: the same skill, spec and --set."""
    started = ledger.last_event(row["run_id"], "invocation.started")
    options: dict[str, Any] = {}
    if started:
        options = started["data"]
    spec = skill_path = None
    if row["spec_path"]:
        spec = repo.root / row["spec_path"]
    if "skill" in options:
        skill_path = repo.root / options["skill"]
    return Request(
        skill=row["skill_name"],
        repo=repo.root,
        ledger=path,
        spec=spec,
        skill_path=skill_path,
        overrides=options.get("set", {}),
        until=options.get("until"),
    )


def _has_same_key(key: str, request: Request) -> bool:
    """Whether a plain repetition would have this key, which is a quick look: then nothing has
    changed.
    """
    try:
        return FoundInputs.of(request).key == key
    except SkillrunError:
        return False


def _show_newer_stages(
    report: dict[str, Any], ended: dict[str, Any], latest: dict[str, dict[str, Any]]
) -> None:
    """Changes the report to what an invocation has found since the last one that ended: it is at
    work, or was interrupted.

    Else a stage would be told of as it was, and held against the files as they are.
    """
    newer = {stage: event for stage, event in latest.items() if event["n"] > ended["n"]}
    if not newer:
        return
    for shown in report["stages"]:
        event = newer.get(shown["id"])
        if event is not None:
            known = {"title": shown["title"], "step": shown["step"]}
            shown.update(_show_committed(event) | known)
    report["counts"] = count_stages(report["stages"])
    # Never success: checks and risks are concluded at the end of an invocation, and there was none.
    report["outcome"] = "partial"
    if any(shown["status"] == "blocked" for shown in report["stages"]):
        report["outcome"] = "blocked"
    report["next"] = list(_go_on_first(report["next"], newer))


def _go_on_first(
    actions: Iterable[dict[str, Any]], newer: Container[str]
) -> Iterator[dict[str, Any]]:
    """That the invocation is to be ended, then the actions of stages that it has not looked at."""
    detail = (
        "the latest invocation has not ended: run the same command again, and it goes on from there"
    )
    yield {"stage": "-", "action": "run", "detail": detail}
    for action in actions:
        # What the stage found before is answered by what it has found since.
        if action["stage"] not in newer:
            yield action


def _mark_stale(
    report: dict[str, Any], row: dict[str, Any], repo: Repo, ledger: Ledger, request: Request
) -> None:
    """Marks the stages of a report whose files, spec or skill have changed since."""
    from skillrun.runner.checkpoint import staleness

    case, planned = _reopen_case(row, repo, ledger, request)
    latest = ledger.latest_stages(row["run_id"])
    for shown in report["stages"]:
        stage: Stage[Any] | None = planned.get(shown["id"])
        event = latest.get(shown["id"])
        if stage is None or event is None or _is_put_off(shown, event):
            continue
        changed = staleness(case, stage, event).reasons
        if changed:
            shown.update(stale=True, changed=list(changed))


def _is_put_off(shown: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether the invocation did not come to the stage, so that its event is of an earlier one."""
    return bool(shown["status"] == "pending" and event["outcome"] != "pending")


def _reopen_case(
    row: dict[str, Any], repo: Repo, ledger: Ledger, request: Request
) -> tuple[Case, dict[str, Stage[Any]]]:
    """What the stages of a run would see now, and id -> stage."""
    from skillrun.contract.locate import find_skill
    from skillrun.runner.inputs import build_case
    from skillrun.runner.options import recorded_attestations
    from skillrun.runner.planned import match_stages

    skill_file = find_skill(request.skill, repo.root, request.skill_path)
    tree = Tree(repo.root, without=own_files(repo, ledger.path))
    file = request.spec
    if file is not None and not file.is_file():
        file = None
        # They were said of a spec that is gone.
        request = replace(request, overrides={})
    case = build_case(request, repo, tree, skill_file, file)
    case.attestations = recorded_attestations(
        keep_signed(ledger.events(row["run_id"], type="attestation.given"))
    )
    planned, _ = match_stages(case.skill)
    return case, {one.stage.ID: one.stage for one in planned}


def explain(report: dict[str, Any], stage: str) -> dict[str, Any]:
    """A stage of a report, for `why`. Raises Misuse for an unknown one."""
    for shown in report["stages"]:
        if shown["id"] == stage:
            steps = [action for action in report["next"] if action["stage"] == stage]
            return {**shown, "next": steps}
    ids = ", ".join(shown["id"] for shown in report["stages"])
    raise Misuse(f"{stage}: no such stage", hint=f"the stages are: {ids}")
