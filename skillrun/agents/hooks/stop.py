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
        if reason := _explain_open(repo.root, path, row):
            reasons.append((row["run_id"], reason))
    if not reasons:
        return None
    newest_run, newest_reason = reasons[0]
    key = _tree_key(repo.root, path)
    if not _decide_to_block(path, runs, newest_run, agent, key, again=again):
        return None
    others = ""
    if len(reasons) > 1:
        others = f" Other open jobs: {len(reasons) - 1}."
    return f"{newest_reason}{others}"


def _has_run(folder: str) -> bool:
    """Quick look, without git: a ledger that something may be open in."""
    if os.environ.get("SKILLRUN_LEDGER"):
        return True
    here = os.path.realpath(folder)
    while True:
        if os.path.exists(os.path.join(here, ".git")):
            # A linked worktree: its ledger may lie with the main checkout, and git must say where.
            if os.path.isfile(os.path.join(here, ".git")):
                return True
            if os.path.exists(os.path.join(here, "REPO_PROFILE.json")):
                return True
            return os.path.exists(os.path.join(here, ".skillrun", "ledger.db"))
        parent = os.path.dirname(here)
        if parent == here:
            return False
        here = parent


def _newest_runs(path: "Path", repo: str) -> "list[dict[str, Any]]":
    """The newest run of each skill and job, newest first.

    A run of a skill from before there was a spec names no job. It is left out where the skill has
    since been run on a job.
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


def _explain_open(root: "Path", path: "Path", row: "dict[str, Any]") -> "str | None":
    """What is open in a run. One that cannot be read is open: a broken spec is no way out."""
    from skillrun.core.errors import SkillrunError
    from skillrun.runner.standing import explain_unsigned, is_believed, standing

    try:
        report = standing(root, run=row["run_id"], ledger=path)
    except SkillrunError as error:
        said = {"stage": "-", "detail": error.message.splitlines()[0]}
        run = {"skill": row["skill"], "job": row["job"]}
        return _write_reason({"run": run, "outcome": "blocked", "stages": [], "next": [said]}, [])
    stale = []
    for stage in report["stages"]:
        if stage["stale"]:
            stale.append(stage["id"])
    if report["outcome"] != "success" or stale:
        return _write_reason(report, stale)
    if is_believed(row["run_id"], path):
        return None
    return _write_reason(report, [explain_unsigned()])


def _tree_key(root: "Path", path: "Path") -> str:
    """What tells this state of the files from any other; the ledger is none of them."""
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.target import own_files

    repo = open_repo(root)
    return Tree(root, without=own_files(repo, path)).key


def _decide_to_block(
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
                events += _hook_events(ledger, row["run_id"])
            said_of_tree = {event["type"] for event in events if event["data"]["tree"] == key}
            if RELEASED in said_of_tree:
                return False
            release = BLOCKED in said_of_tree or (again and _count_blocks_in_a_row(events) >= MOST)
            kind = BLOCKED
            if release:
                kind = RELEASED
            actor = who()
            data = {"tree": key, "agent": agent}
            event = NewEvent(kind, actor=actor.name, actor_kind=str(actor.kind), data=data)
            ledger.append(run_id, [event])
            return not release
    except (SkillrunError, sqlite3.Error):
        return False


def _hook_events(ledger: "Any", run_id: str) -> "list[dict[str, Any]]":
    """What this hook has written into a run: its blocks, then its releases."""
    return [*ledger.events(run_id, type=BLOCKED), *ledger.events(run_id, type=RELEASED)]


def _count_blocks_in_a_row(events: "list[dict[str, Any]]") -> int:
    """Blocks since somebody was let go."""
    let_go = max((event["ts_us"] for event in events if event["type"] == RELEASED), default=0)
    return sum(event["type"] == BLOCKED and event["ts_us"] > let_go for event in events)


def _write_reason(report: "dict[str, Any]", stale: "list[str]") -> str:
    """What is missing, what is next, and the command: a line each."""
    from skillrun.core.tally import outcome_line
    from skillrun.core.text import visible

    run = report["run"]
    job = ""
    if run["job"] != NO_JOB:
        job = f" on {run['job']}"
    open_stages = []
    for stage in report["stages"]:
        if stage["status"] in ("blocked", "failed", "pending"):
            open_stages.append(stage["id"])
    state = f"is {outcome_line(report)}"
    if open_stages:
        state += f" ({', '.join(open_stages)})"
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
    return "\n".join(visible(line, limit=_LINE) for line in lines)
