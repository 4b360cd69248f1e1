"""`skillrun list | show | check`: finds, reads and lints skills; runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skillrun.cli.commands.common import print_json, print_table
from skillrun.core.text import visible


def list_skills(repo: Path, json: bool) -> int:
    """The skills that can be named here; the repository's own where there is one."""
    from skillrun.contract import locate

    found = locate.list_skills(_root(repo))
    if json:
        print_json(
            [
                {
                    "id": s.id,
                    "path": str(s.path),
                    "where": s.where,
                    "shadowed": s.shadowed,
                    "error": s.error,
                }
                for s in found
            ]
        )
        return 0
    rows = []
    for s in found:
        rows.append((s.id, s.where, s.error or ("shadowed" if s.shadowed else ""), str(s.path)))
    print_table(("skill", "where", "note", "path"), rows)
    return 0


def show_skill(skill: str, repo: Path, json: bool) -> int:
    """The contract of a skill as it was read, with line numbers, and the stages that a run would
    have.
    """
    from skillrun.contract.locate import find_skill
    from skillrun.contract.skill import load_skill
    from skillrun.runner.planned import match_stages

    loaded = load_skill(find_skill(skill, _root(repo), None))
    planned, missing = match_stages(loaded)
    stages: list[dict[str, Any]] = [
        {"id": p.stage.ID, "title": p.stage.TITLE, "line": p.line, "verified": _is_code(p.stage)}
        for p in planned
    ]
    if json:
        print_json(
            _skill_json(loaded) | {"stages": stages, "findings": [f.message for f in missing]}
        )
        return 0
    print(f"{loaded.id}: {visible(loaded.description)}\n{visible(str(loaded.path))}\n")
    print("Inputs")
    for wanted in loaded.inputs:
        print(
            f"  {visible(wanted.slug)}{'' if wanted.required else ' (optional)'}:"
            f" {visible(wanted.text)}"
        )
    print("\nStages")
    for stage in stages:
        kind = "declared"
        if stage["verified"]:
            kind = "verified"
        place = "not in SKILL.md"
        if stage["line"]:
            place = f"SKILL.md:{stage['line']}"
        print(f"  {stage['id']:<28} {kind:<9} {place:<14} {visible(stage['title'])}")
    print("\nChecks")
    for check in loaded.checks:
        print(f"  SKILL.md:{check.line:<4} {visible(check.text)}")
    for warning in (*loaded.warnings, *(f.message for f in missing)):
        print(f"warning: {visible(str(warning))}")
    return 0


def _is_code(stage: Any) -> bool:
    from skillrun.runner.declared import DeclaredStage

    return not isinstance(stage, DeclaredStage)


def _skill_json(skill: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(skill) | {"path": str(skill.path)}


def check_skills(paths: list[Path], json: bool) -> int:
    """The format's violations with line numbers; exit code 1 where there is an error."""
    from dataclasses import asdict

    from skillrun.contract.lint import lint_paths

    findings = list(lint_paths(paths))
    bad = [f for f in findings if f.severity == "error"]
    if json:
        print_json([asdict(f) for f in findings])
        if bad:
            return 1
        return 0
    for f in findings:
        place = f"{f.path}:{f.line}" if f.line else f.path
        print(
            visible(f"{place}: {f.severity}: {f.message}", limit=2000)
            + (f"\n    do: {visible(f.hint)}" if f.hint else "")
        )
    print(f"{len(bad)} errors, {len(findings) - len(bad)} other findings")
    if bad:
        return 1
    return 0


def _root(repo: Path) -> Path | None:
    """The repository's root; None outside of one, where only bundled and home skills are found."""
    from skillrun.core.errors import RepoUnusable
    from skillrun.repo.git import open_repo

    try:
        return open_repo(repo).root
    except RepoUnusable:
        return None
