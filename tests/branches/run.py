"""Tries the steps of `verify` that compare a branch with its base on branches that others wrote.

usage: run.py [--python PYTHON] [--limit SECONDS] [REPOSITORY | ID ...]

`branches/REPOSITORY.py` holds BRANCHES: changes of that base in tests/strangers, each labelled bad or honest. An edit
is (path, old text, new text): no old text means a new file, None for the new one that the file goes.
Prints a line for each step and what it found; exit 0 where every step could be run.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.repo.git import open_repo
from skillrun.wall import verify
from skillrun.wall.base import find_base
from skillrun.wall.checkout import find_environments
from skillrun.wall.diff import read_diff
from skillrun.wall.surroundings import Surroundings
from skillrun.wall.verification import Job, Proof

HERE = Path(__file__).resolve().parent
STRANGERS = HERE.parent / "strangers"
_GIT = ("git", "-c", "user.name=stranger", "-c", "user.email=stranger@example.com")
_NOT_COPIED = shutil.ignore_patterns("__pycache__", ".pytest_cache", "*.sqlite3", "*.db")
_STOPS = (Severity.BLOCKER, Severity.ERROR)
Step = Callable[[], Iterable[Finding]]


class _Quiet:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *words, **more: None


@dataclass
class Counts:
    """Of the branches of one label: how many there were, and how many were stopped."""

    all: int = 0
    stopped: int = 0


def list_branches(asked: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Repository and branch of each that is asked for; all where nothing is."""
    for file in sorted((HERE / "branches").glob("*.py")):
        for branch in runpy.run_path(str(file))["BRANCHES"]:
            if not asked or file.stem in asked or branch["id"] in asked:
                yield file.stem, branch


def lay_out(name: str, branch: Mapping[str, Any], root: Path, python: str) -> None:
    """The base as a commit on main, the edits as one on `branch`. Raises ValueError where an old
    text does not stand there once.
    """
    shutil.copytree(STRANGERS / name / "base", root, ignore=_NOT_COPIED)
    for spec in (root / ".skillrun/jobs").glob("*.yaml"):
        text = spec.read_text()
        if "python:" not in text:
            spec.write_text(text.replace("\nproof:\n", f"\nproof:\n  python: {python}\n", 1))
    _run_git(root, "init", "-q", "-b", "main")
    _commit(root, "start")
    _run_git(root, "checkout", "-q", "-b", "branch")
    for path, old, new in branch["edits"]:
        _edit(root / path, old, new)
    _commit(root, branch["title"])


def _run_git(root: Path, *words: str) -> None:
    subprocess.run([*_GIT, *words], cwd=root, check=True, capture_output=True)


def _commit(root: Path, title: str) -> None:
    _run_git(root, "add", "-A")
    _run_git(root, "commit", "-qm", title)


def _edit(file: Path, old: str | None, new: str | None) -> None:
    if new is None:
        file.unlink()
        return
    if not old:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)
        return
    text = file.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{file.name}: {old[:60]!r} is there {text.count(old)} times")
    file.write_text(text.replace(old, new))


def list_steps(root: Path, job: str) -> dict[str, Step]:
    """The steps by name, in the order of `verify`."""
    repo = open_repo(root)
    base = find_base(repo, "main", {})
    assert base.commit is not None
    diff = read_diff(repo.root, base.commit, repo.head)
    spec = next(file for file in diff.specs if Path(file.path).stem == job)
    pythons = tuple(verify._list_interpreters(diff.specs))
    around = Surroundings(find_environments(repo.root, pythons))
    watcher: Any = _Quiet()
    sides = verify._Sides(
        repo, base, repo.head, diff, watcher, around, {spec.path: ()}, pythons, True
    )
    fresh = Job(spec.path, "a" * 64, job, "success", proof=Proof("proved"))

    def judged(judge: Callable[..., Job], *parts: Any) -> Iterable[Finding]:
        job = judge(fresh, spec, diff, *parts)
        for one in job.not_compared:
            print(f"      not compared: {one.what}: {one.why}", flush=True)
        return job.proof.findings if job.proof is not None else ()

    in_worlds = (sides.observe_base_in_worlds, sides.observe_head_in_worlds)
    publishers = (sides.observe_base_publishers, sides.observe_head_publishers)
    return {
        "looks": lambda: verify._look_at_branch(base, diff).findings,
        "runs": lambda: judged(verify.judge_runs, sides.observe_base, sides.observe_head),
        "rows": lambda: judged(verify.judge_rows, *in_worlds),
        "publish": lambda: judged(verify.judge_publishers, *publishers),
        "deploy": lambda: judged(verify.judge_deploys, sides.try_deploys),
    }


def try_step(name: str, step: Step) -> tuple[bool, bool]:
    """Whether the step stops the branch, and whether it could be run; says what it found."""
    began = time.monotonic()
    try:
        findings = list(step())
    except SkillrunError as error:
        print(f"  {name:7} could not be run: {error}", flush=True)
        return False, False
    print(f"  {name:7} {time.monotonic() - began:6.1f} s", flush=True)
    for finding in findings:
        if finding.severity in (*_STOPS, Severity.WARNING):
            print(f"      {finding.severity} {finding.rule}: {finding.message[:300]}", flush=True)
    return any(finding.severity in _STOPS for finding in findings), True


def try_branch(name: str, branch: Mapping[str, Any], python: str) -> tuple[bool, bool]:
    """Whether any step stops it, and whether all could be run."""
    print(
        f"{name} {branch['id']} [{branch['label']}] {branch['title'].splitlines()[0]}", flush=True
    )
    is_stopped, is_whole = False, True
    with tempfile.TemporaryDirectory(prefix="branches-") as folder:
        root = Path(folder) / "repo"
        os.environ["SKILLRUN_STATE_DIR"] = str(Path(folder) / "state")
        lay_out(name, branch, root, python)
        for step_name, step in list_steps(root, branch["job"]).items():
            stops, was_run = try_step(step_name, step)
            is_stopped, is_whole = is_stopped or stops, is_whole and was_run
    print(f"  => {'stopped' if is_stopped else 'through'}", flush=True)
    return is_stopped, is_whole


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds; begins no more")
    parser.add_argument("--python", default=sys.executable, help="with the job libraries")
    parser.add_argument("asked", nargs="*")
    options = parser.parse_args()
    # The folder itself: a sandbox does not show a link in a temporary folder.
    python = str(Path(options.python).absolute().parent.resolve() / Path(options.python).name)
    end, is_whole = time.monotonic() + options.limit, True
    counts = {"bad": Counts(), "honest": Counts()}
    branches = list(list_branches(options.asked))
    for number, (name, branch) in enumerate(branches):
        if time.monotonic() > end:
            print(f"not reached: {len(branches) - number}")
            break
        is_stopped, was_run = try_branch(name, branch, python)
        counted = counts[branch["label"]]
        counted.all += 1
        counted.stopped += is_stopped
        is_whole = is_whole and was_run
    for label, counted in counts.items():
        print(f"{label}: {counted.stopped} of {counted.all} stopped")
    sys.exit(not is_whole)


if __name__ == "__main__":
    main()
