"""`skillrun doctor`: what works here; it changes nothing and runs no code of the repository."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.cli.commands.common import print_json
from skillrun.core.tally import count_things
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.agents.doctor.check import Check


def doctor(repo: Path, json: bool) -> int:
    """Prints every check; exit code 1 where one is a problem."""
    from skillrun.agents.doctor.agents import agent_checks
    from skillrun.agents.doctor.machine import machine_checks, repository_checks
    from skillrun.agents.doctor.skills_lock import lock_checks

    root = _find_root(repo)
    checks = [*machine_checks(), *repository_checks(root)]
    if root is not None:
        checks += lock_checks(root)
    checks += agent_checks(root, Path.home())
    problems = sum(check.level == "problem" for check in checks)
    if json:
        print_json(
            {
                "schema_version": 1,
                "problems": problems,
                "checks": [asdict(check) for check in checks],
            }
        )
    else:
        _print_checks(checks)
        said = "no problems"
        if problems:
            said = count_things(problems, "problem")
        print(f"\n{said}")
        print(
            "what was run: git, --version of the agents' programs, skillrun's own hook commands"
            " and MCP server"
        )
    if problems:
        return 1
    return 0


def _print_checks(checks: list[Check]) -> None:
    for area, members in groupby(checks, key=lambda check: check.area):
        print(area)
        for check in members:
            print(f"  {check.level:<8} {visible(check.text, limit=600)}")
            if check.do:
                print(f"  {'':<8} do: {visible(check.do, limit=600)}")


def _find_root(repo: Path) -> Path | None:
    """The repository's root; None outside of one. Raises RepoUnusable for a path that does not
    exist.
    """
    from skillrun.core.errors import RepoUnusable
    from skillrun.repo.git import open_repo

    try:
        return open_repo(repo).root
    except RepoUnusable:
        if not repo.is_dir():
            raise
        return None
