"""Before an agent says "done": is a run open here, or has what it rests on changed since?

Blocks once for a tree, so that nobody is caught in a circle; the second time on the same tree it lets go and records
that the end is unverified. Both are events of the run.
"""

import os
import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

NO_JOB = "-"
BLOCKED, RELEASED = "hook.blocked", "hook.unverified"
_LINE = 400


def why_open(folder: str, agent: str, *, again: bool) -> "str | None":
    """Three lines that say what is missing, or None: nothing is open, or it was said before about this very tree.

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
    for row in _newest_runs(path, repo_name(repo)):
        reason = _about(repo.root, path, row, agent, again=again)
        if reason:
            return reason
    return None


def _has_run(folder: str) -> bool:
    """Quick look, without git: a ledger that something may be open in."""
    if os.environ.get("SKILLRUN_LEDGER"):
        return True
    here = os.path.realpath(folder)
    while True:
        if os.path.exists(os.path.join(here, ".git")):
            elsewhere = os.path.isfile(os.path.join(here, ".git"))  # a linked worktree: git must say where
            profile = os.path.exists(os.path.join(here, "REPO_PROFILE.json"))
            return elsewhere or profile or os.path.exists(os.path.join(here, ".skillrun", "ledger.db"))
        parent = os.path.dirname(here)
        if parent == here:
            return False
        here = parent


def _newest_runs(path: "Path", repo: str) -> "list[dict[str, Any]]":
    """The newest run of each skill and job, newest first; without those from before there was a spec."""
    from skillrun.ledger.store import Ledger

    with Ledger.open(path, read_only=True) as ledger:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for row in ledger.runs(repo=repo, limit=50):
            found.setdefault((row["skill"], row["job"]), row)
    named = {skill for skill, job in found if job != NO_JOB}
    return [row for (skill, job), row in found.items() if job != NO_JOB or skill not in named]


def _about(root: "Path", path: "Path", row: "dict[str, Any]", agent: str, *, again: bool) -> "str | None":
    from skillrun.runner.standing import standing

    report = standing(root, run=row["run_id"], ledger=path)
    stale = [stage["id"] for stage in report["stages"] if stage["stale"]]
    if report["outcome"] == "success" and not stale:
        return None
    key = _tree_key(root, path)
    return _said(report, stale) if _record(path, row["run_id"], agent, key, again=again) else None


def _tree_key(root: "Path", path: "Path") -> str:
    from skillrun.repo.git import open_repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.target import own_files

    repo = open_repo(root)
    return Tree(root, without=own_files(repo, path)).key


def _record(path: "Path", run_id: str, agent: str, key: str, *, again: bool) -> bool:
    """Whether to block: it was not done on this tree before. Where that cannot be written down, nobody is blocked."""
    from skillrun.actor import who
    from skillrun.errors import SkillrunError
    from skillrun.ledger.rows import NewEvent
    from skillrun.ledger.store import Ledger

    try:
        with Ledger.open(path) as ledger:
            last = max((ledger.last_event(run_id, kind) for kind in (BLOCKED, RELEASED)), key=_number)
            seen = last is not None and last["data"]["tree"] == key
            if seen and last is not None and last["type"] == RELEASED:
                return False
            actor, kind = who(), RELEASED if seen else BLOCKED
            data = {"tree": key, "agent": agent}
            ledger.append(run_id, [NewEvent(kind, actor=actor.name, actor_kind=str(actor.kind), data=data)])
            return not seen
    except (SkillrunError, sqlite3.Error):
        return False


def _number(event: "dict[str, Any] | None") -> int:
    return event["n"] if event else 0


def _said(report: "dict[str, Any]", stale: "list[str]") -> str:
    """What is missing, what is next, and the command: a line each."""
    run, open_ = report["run"], [s["id"] for s in report["stages"] if s["status"] in ("blocked", "failed", "pending")]
    job = f" on {run['job']}" if run["job"] != "-" else ""
    state = f"is {report['outcome']}: {', '.join(open_)}" if report["outcome"] != "success" else "has succeeded"
    changed = f"; changed since: {', '.join(stale)}" if stale else ""
    first = next(iter(report["next"]), None)
    todo = f"{first['stage']}: {first['detail']}" if first else "run it again: its evidence is older than the files"
    command = f"skillrun {run['skill'].rpartition('/')[2]}"
    lines = (
        f"skillrun: the run of {run['skill']}{job} {state}{changed}.",
        f"Next: {todo}",
        f"Then: {command}   (all of it: skillrun next). Do not say that it is done before that ends with success.",
    )
    from skillrun.text import visible

    return "\n".join(visible(line, limit=_LINE) for line in lines)
