"""Before an agent says "done": is a run open here, or has what it rests on changed since?

Blocks once for a tree, and three times in a row at most, so that nobody is caught in a circle; then
it lets go and records that the end is unverified. Both are events of the run.
"""

import os
import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

NO_JOB = "-"
# Blocks in a row: files that change by themselves, a log, say, must not hold anybody for ever.
MOST = 3
BLOCKED, RELEASED = "hook.blocked", "hook.unverified"
_LINE = 400


def why_open(folder: str, agent: str, *, again: bool) -> "str | None":
    """Three lines that say what is missing, or None: nothing is open, or it was said before about
    this very tree.

    `again`: the agent says that it is going on because a hook has blocked it already.
    """
    if not _has_run(folder):
        return None
    from pathlib import Path

    from skillrun.repo.git import open_repo
    from skillrun.runner.target import ledger_path, repo_name

    repo = open_repo(Path(folder))
    path = ledger_path(repo, None)
    if not path.is_file():
        return None
    runs = _newest_runs(path, repo_name(repo))
    reasons = []
    for row in runs:
        if reason := _about(repo.root, path, row):
            reasons.append((row["run_id"], reason))
    if not reasons or not _record(
        path, runs, reasons[0][0], agent, _tree_key(repo.root, path), again=again
    ):
        return None
    others = ""
    if len(reasons) > 1:
        others = f" Other open jobs: {len(reasons) - 1}."
    return f"{reasons[0][1]}{others}"


def _has_run(folder: str) -> bool:
    """Quick look, without git: a ledger that something may be open in."""
    if os.environ.get("SKILLRUN_LEDGER"):
        return True
    here = os.path.realpath(folder)
    while True:
        if os.path.exists(os.path.join(here, ".git")):
            # A linked worktree: git must say where.
            elsewhere = os.path.isfile(os.path.join(here, ".git"))
            profile = os.path.exists(os.path.join(here, "REPO_PROFILE.json"))
            return (
                elsewhere or profile or os.path.exists(os.path.join(here, ".skillrun", "ledger.db"))
            )
        parent = os.path.dirname(here)
        if parent == here:
            return False
        here = parent


def _newest_runs(path: "Path", repo: str) -> "list[dict[str, Any]]":
    """The newest run of each skill and job, newest first; without those from before there was a
    spec.
    """
    from skillrun.ledger.store import Ledger

    with Ledger.open(path, read_only=True) as ledger:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in ledger.runs(repo=repo, limit=500):
            found.setdefault((row["skill"], row["job"]), row)
    named = set()
    for skill, job in found:
        if job != NO_JOB:
            named.add(skill)
    return [row for (skill, job), row in found.items() if job != NO_JOB or skill not in named]


def _about(root: "Path", path: "Path", row: "dict[str, Any]") -> "str | None":
    """What is open in a run. One that cannot be read is open: a broken spec is no way out."""
    from skillrun.core.errors import SkillrunError
    from skillrun.runner.standing import explain_unsigned, is_believed, standing

    try:
        report = standing(root, run=row["run_id"], ledger=path)
    except SkillrunError as error:
        said = {"stage": "-", "detail": error.message.splitlines()[0]}
        run = {"skill": row["skill"], "job": row["job"]}
        return _said({"run": run, "outcome": "blocked", "stages": [], "next": [said]}, [])
    stale = []
    for stage in report["stages"]:
        if stage["stale"]:
            stale.append(stage["id"])
    if report["outcome"] != "success" or stale:
        return _said(report, stale)
    if is_believed(row["run_id"], path):
        return None
    return _said(report, [explain_unsigned()])


def _tree_key(root: "Path", path: "Path") -> str:
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.target import own_files

    repo = open_repo(root)
    return Tree(root, without=own_files(repo, path)).key


def _record(
    path: "Path", runs: "list[dict[str, Any]]", run_id: str, agent: str, key: str, *, again: bool
) -> bool:
    """Whether to block: it was not done on this tree before, nor too often in this turn.

    Where that cannot be written down, nobody is blocked.
    """
    from skillrun.core.actor import who
    from skillrun.core.errors import SkillrunError
    from skillrun.ledger.rows import NewEvent
    from skillrun.ledger.store import Ledger

    try:
        with Ledger.open(path) as ledger:
            events = []
            for row in runs:
                for event in _hook_events(ledger, row["run_id"]):
                    events.append(event)
            mine = {event["type"] for event in events if event["data"]["tree"] == key}
            if RELEASED in mine:
                return False
            release = BLOCKED in mine or (again and _in_a_row(events) >= MOST)
            actor, kind = who(), RELEASED if release else BLOCKED
            data = {"tree": key, "agent": agent}
            ledger.append(
                run_id, [NewEvent(kind, actor=actor.name, actor_kind=str(actor.kind), data=data)]
            )
            return not release
    except (SkillrunError, sqlite3.Error):
        return False


def _hook_events(ledger: "Any", run_id: str) -> "list[dict[str, Any]]":
    return [event for kind in (BLOCKED, RELEASED) for event in ledger.events(run_id, type=kind)]


def _in_a_row(events: "list[dict[str, Any]]") -> int:
    """Blocks since somebody was let go."""
    let_go = max((event["ts_us"] for event in events if event["type"] == RELEASED), default=0)
    return sum(event["type"] == BLOCKED and event["ts_us"] > let_go for event in events)


def _said(report: "dict[str, Any]", stale: "list[str]") -> str:
    """What is missing, what is next, and the command: a line each."""
    from skillrun.core.tally import outcome_line

    run, open_ = (
        report["run"],
        [s["id"] for s in report["stages"] if s["status"] in ("blocked", "failed", "pending")],
    )
    job = ""
    if run["job"] != "-":
        job = f" on {run['job']}"
    state = f"is {outcome_line(report)}"
    if open_:
        state += f" ({', '.join(open_)})"
    changed = ""
    if stale:
        changed = f"; changed since: {', '.join(stale)}"
    first = next(iter(report["next"]), None)
    todo = "run it again: its evidence is older than the files"
    if first:
        todo = f"{first['stage']}: {first['detail']}"
    command = f"skillrun {run['skill'].rpartition('/')[2]}"
    lines = (
        f"skillrun: the run of {run['skill']}{job} {state}{changed}.",
        f"Next: {todo}",
        (
            f"Then: {command}   (all of it: skillrun next). Do not say that it is done before that"
            " ends with success."
        ),
    )
    from skillrun.core.text import visible

    return "\n".join(visible(line, limit=_LINE) for line in lines)
