"""`skillrun detect`: one pass over the files; with --write it completes REPO_PROFILE.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.cli.commands.common import print_json
from skillrun.core.text import masked_json, visible

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# Lines about files that could not be read; a broken checkout has one for each.
_NOTES = 8


def detect(repo: Path, write: bool, json: bool) -> int:
    """Prints what was found; exit code 3 where no job framework is in use."""
    from skillrun.frameworks.registry import recognisers
    from skillrun.repo.git import open_repo, open_to_write
    from skillrun.repo.profile import load_profile, profile_fields, write_profile
    from skillrun.repo.survey import survey_tree
    from skillrun.repo.tree import Tree

    if write:
        opened = open_to_write(repo)
    else:
        opened = open_repo(repo)
    root = opened.root
    load_profile(root)
    tree = Tree(root)
    found = survey_tree(tree, recognisers())
    command = _test_command(root, tree)
    if write:
        changed = write_profile(root, found, command)
    else:
        changed = ()
    value = {
        "schema_version": 1,
        "primary": found.primary,
        "frameworks": [_describe_framework(use) for use in found.frameworks],
        "profile": profile_fields(found, command),
        "notes": list(found.notes),
    }
    # A command of the repository's may hold a password.
    value = masked_json(value)
    if json:
        print_json(value)
    else:
        _print_survey(value, root, write, changed)
    if found.frameworks:
        return 0
    return 3


def _test_command(root: Path, tree: Tree) -> str | None:
    """The repository's own pytest, where it has tests: that is a test command, though nothing
    declares it.
    """
    from skillrun.skills.job_worker.readings.own_tests.pytest_command import (
        TESTS,
        own_pytest_command,
    )

    has_tests = any(tree.match(glob) for glob in TESTS)
    if not has_tests:
        return None
    return own_pytest_command(root)


def _describe_framework(use: Any) -> dict[str, Any]:
    value = asdict(use)
    return {
        key: value[key] for key in ("id", "app", "task_modules", "scheduler", "broker", "evidence")
    }


def _print_survey(value: dict[str, Any], root: Path, write: bool, changed: tuple[str, ...]) -> None:
    for framework in value["frameworks"]:
        is_primary = framework["id"] == value["primary"] and len(value["frameworks"]) > 1
        _print_framework(framework, " (primary)" if is_primary else "")
    if not value["frameworks"]:
        print("no job framework is in use here")
        print("  do: name one in REPO_PROFILE.json (jobs.framework), skill personalize-repo")
    profile = value["profile"]
    print(f"\nlanguage         {visible(', '.join(profile['stack']['language']) or '-')}")
    print(f"package manager  {visible(profile['conventions']['package_manager'])}")
    for kind, command in profile["commands"].items():
        print(f"{kind:<16} {visible(command, limit=200)}")
    for note in value["notes"][:_NOTES]:
        print(f"note: {visible(note, limit=200)}")
    if len(value["notes"]) > _NOTES:
        print(f"note: {len(value['notes']) - _NOTES} more files could not be read: --json has all")
    if write:
        words = "nothing was missing"
        if changed:
            words = ", ".join(changed)
        print(f"\n{visible(str(root / 'REPO_PROFILE.json'))}: {visible(words, limit=400)}")


def _print_framework(framework: dict[str, Any], mark: str) -> None:
    print(f"{framework['id']}{mark}")
    for key in ("app", "broker", "scheduler"):
        print(f"  {key:<12} {visible(str(framework[key] or '-'))}")
    print(f"  {'tasks in':<12} {visible(', '.join(framework['task_modules'][:8]) or '-')}")
    for place in framework["evidence"][:8]:
        text = visible(place["text"], limit=100)
        print(f"  {visible(place['path'])}:{place['line']}: {text}")
