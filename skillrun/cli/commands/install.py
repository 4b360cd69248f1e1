"""`skillrun install | uninstall`: skills, MCP server and hooks for a coding agent, merged into what
is there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.errors import Misuse
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.agents.install.plan import Plan
    from skillrun.agents.interface import Installable

CI = "github-actions"


def install(agent: str, repo: Path, user: bool, dry_run: bool, source: str | None = None) -> int:
    """Writes what is missing and says what a person must still do; a second time nothing
    changes.
    """
    from skillrun.agents.install.plan import plan_install

    base = _choose_base(repo, user, dry_run)
    if agent == CI:
        known = _load_workflow(base, user, source)
    else:
        known = _load_agent(agent, source)
    plan = plan_install(known, base, user=user)
    if dry_run:
        return _print_diff(plan, base)
    _write_plan(plan, base)
    what = f"{known.NAME}: installed in {visible(str(base))}"
    print(
        what if plan.changes else f"{known.NAME}: everything is there already, nothing was changed"
    )
    _print_files(plan)
    _print_next(known, user)
    return 0


def uninstall(agent: str, repo: Path, user: bool, dry_run: bool) -> int:
    """Takes back what the record says was added, except what somebody has edited since."""
    from skillrun.agents.install.plan import plan_uninstall
    from skillrun.wall.workflow import Workflow

    base = _choose_base(repo, user, dry_run)
    if agent == CI:
        known: Installable = Workflow()
    else:
        known = _load_agent(agent)
    plan = plan_uninstall(known, base)
    if dry_run:
        return _print_diff(plan, base)
    _write_plan(plan, base)
    nothing = f"{known.NAME}: skillrun has installed nothing in {visible(str(base))}"
    print(f"{known.NAME}: taken back from {visible(str(base))}" if plan.changes else nothing)
    _print_files(plan)
    return 0


def _load_agent(agent: str, source: str | None = None) -> Installable:
    """One of the coding agents. Raises Misuse for an unknown one, and for a source, which only a
    workflow has.
    """
    from skillrun.agents.registry import AGENTS, load_agent

    if agent not in AGENTS:
        what = f"{visible(agent, 100)}: no such agent"
        raise Misuse(what, hint=f"one of: {', '.join(AGENTS)}, {CI}")
    if source is not None:
        raise Misuse(
            f"{agent} --source: agents start the skillrun on PATH", hint=f"--source is for {CI}"
        )
    return load_agent(agent)


def _load_workflow(base: Path, user: bool, source: str | None) -> Installable:
    """The pipeline's workflow. Raises Misuse."""
    if user:
        raise Misuse(
            f"{CI} --user: a workflow belongs to a repository",
            hint=f"skillrun install {CI} --repo PATH",
        )
    from skillrun.wall.workflow import as_workflow

    return as_workflow(base, source)


def _choose_base(repo: Path, user: bool, dry_run: bool) -> Path:
    """The folder that is written in; what a write that died has left there is finished first, or
    only said.
    """
    from skillrun.repo import git

    if not user:
        if dry_run:
            opened = git.open_repo(repo)
        else:
            opened = git.open_to_write(repo)
        return opened.root
    if dry_run:
        look = git.report_writing
    else:
        look = git.finish_writing
    look(Path.home())
    return Path.home()


def _write_plan(plan: Plan, base: Path) -> None:
    from skillrun.core.files import write
    from skillrun.core.journal import remove_empty

    write(base, plan.changes)
    remove_empty(plan.folders)


def _print_files(plan: Plan) -> None:
    for change in plan.changes:
        if change.before is None:
            state = "created"
        elif change.after is None:
            state = "removed"
        else:
            state = "changed"
        print(f"  {state:<10} {visible(change.name)}")
    for name in plan.unchanged:
        print(f"  {'unchanged':<10} {visible(name)}")
    for name, note in plan.notes:
        print(f"  note: {visible(name)}: {note}")


def _print_next(agent: Installable, user: bool) -> None:
    from skillrun.agents.install.program import own_program

    lines = list(agent.NEXT_USER if user else agent.NEXT)
    if user:
        lines = [line.replace(" -- skillrun ", f" -- {own_program()} ") for line in lines]
    elif shutil.which("skillrun") is None and agent.ID != CI:
        lines.insert(
            0,
            f"there is no skillrun on PATH: put it there, or skillrun install {agent.ID} --user,"
            " which names its full path; no hook runs otherwise",
        )
    print("\nnext:")
    if agent.EVENTS:
        lines.append("skillrun doctor runs each hook once and says whether it answers")
    for line in lines:
        print(f"  {line}")


def _print_diff(plan: Plan, base: Path) -> int:
    from skillrun.agents.install.plan import diff_lines
    from skillrun.agents.install.record import PATH

    # What is remembered comes last.
    for change in sorted(plan.changes, key=lambda change: change.name == PATH):
        for line in diff_lines(change):
            print(visible(line, limit=2_000))
    for name, note in plan.notes:
        print(f"note: {visible(name)}: {note}")
    if not plan.changes:
        print(f"nothing would change in {visible(str(base))}")
    return 0
