"""Which commit a branch is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.errors import Refused
from skillrun.core.opening import read_json
from skillrun.core.text import visible
from skillrun.repo.git import Repo, run_git

# The branch that a pull or merge request goes to, as GitHub Actions and GitLab CI name it.
_TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
_UNKNOWN, _NAME_ONE = "no base branch is known", "name one: skillrun verify --base origin/main"
_USUAL = ("main", "master")
_SHALLOW = "this clone is shallow: fetch the whole history (actions/checkout: fetch-depth: 0)"


@dataclass(frozen=True)
class Base:
    """The commit to compare HEAD with, and the name by which it was found; or why there is none,
    and what to do.
    """

    commit: str | None
    name: str | None = None
    missing: str | None = None
    hint: str | None = None


def find_base(repo: Repo, named: str | None, env: Mapping[str, str]) -> Base:
    """The merge base of HEAD with --base, else with the request's target branch, else with the main
    branch; where HEAD is the main branch, with what it was before the push that a pipeline runs
    for.

    Raises Refused where --base was given and cannot be compared with.
    """
    name = named or _guess_base(repo, env)
    found = Base(None, missing=_UNKNOWN, hint=_NAME_ONE)
    if name:
        found = _merge_base(repo.root, name)
    if named is not None and found.commit is None:
        raise Refused(f"--base {visible(named, 100)}: {found.missing}", hint=found.hint)
    # On the main branch itself, HEAD compared with it would have changed nothing.
    if not named and (name is None or found.commit == repo.head):
        before = _before_push(env)
        if before:
            return _merge_base(repo.root, before)
    return found


def _before_push(env: Mapping[str, str]) -> str | None:
    """The commit that a pushed branch pointed at before, as GitLab CI and GitHub Actions tell it;
    zeros: it is new.
    """
    told: object = env.get("CI_COMMIT_BEFORE_SHA")
    if env.get("GITHUB_EVENT_NAME") == "push" and env.get("GITHUB_EVENT_PATH"):
        try:
            event = read_json(Path(env["GITHUB_EVENT_PATH"]))
        except (OSError, ValueError):
            return None
        told = event.get("before") if isinstance(event, dict) else None
    if not isinstance(told, str) or not told.strip("0"):
        return None
    return told


def _guess_base(repo: Repo, env: Mapping[str, str]) -> str | None:
    for variable in _TARGETS:
        if env.get(variable):
            return f"origin/{env[variable]}"
    if _resolve_commit(repo.root, "refs/remotes/origin/HEAD"):
        return "origin/HEAD"
    for name in _USUAL:
        if name != repo.branch and _resolve_commit(repo.root, f"refs/heads/{name}"):
            return name
    return None


def _merge_base(root: Path, name: str) -> Base:
    commit = _resolve_commit(root, name)
    shown = visible(name, 100)
    if commit is None:
        remedy = _suggest_remedy(root, f"git fetch origin, and look at {shown}")
        return Base(None, name, f"{shown} is no commit here", remedy)
    done = run_git(root, "merge-base", commit, "HEAD")
    if done.returncode:
        what = f"{shown} and HEAD have no commit in common here"
        return Base(
            None, name, what, _suggest_remedy(root, "name the branch that this one began on")
        )
    return Base(done.stdout.decode().strip(), name)


def _suggest_remedy(root: Path, otherwise: str) -> str:
    is_shallow = run_git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    # Whatever else is wrong, a shallow clone lacks the commits that would show it.
    if is_shallow:
        return _SHALLOW
    return otherwise


def _resolve_commit(root: Path, name: str) -> str | None:
    done = run_git(root, "rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
    return done.stdout.decode().strip() or None
