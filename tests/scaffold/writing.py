"""What the tests of the frameworks' scaffolds share: a sample repository, what is planned for it,
and its own tests.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import helpers
import samples

from skillrun.runner.changes import Plan
from skillrun.runner.inputs import build_case
from skillrun.runner.repeat import FoundInputs
from skillrun.runner.target import Request
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.scaffold.plan import plan


@dataclass(frozen=True)
class Written:
    """A sample repository into which the plan was written."""

    root: Path
    plan: Plan

    def text(self, path: str) -> str:
        """A file as it is now."""
        return (self.root / path).read_text(encoding="utf-8")

    def names(self, path: str) -> list[str]:
        """What a module defines, in order."""
        body, kinds = (
            ast.parse(self.text(path)).body,
            ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        )
        return [node.name for node in body if isinstance(node, kinds)]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Python in the repository: `run("pytest", "-q")` for a module, `run("-c", "...")` for a
        line.
        """
        env = helpers.clean_env(
            self.root.parent / "home", PYTHONDONTWRITEBYTECODE="1", PATH=os.environ["PATH"]
        )
        return subprocess.run(
            [sys.executable, *(() if command[0] == "-c" else ("-m",)), *command],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
        )


def write(
    folder: Path,
    combination: samples.Combination,
    more: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
) -> Written:
    """Plans the job for a sample repository, with `more` files and `without` some, and writes
    it.
    """
    files = {**samples.files(combination), **(more or {})}
    root = helpers.build_tree(
        folder / "repo", {path: text for path, text in files.items() if path not in without}
    )
    made = plan(case_of(root))
    for change in made.changes:
        (root / change.path).parent.mkdir(parents=True, exist_ok=True)
        (root / change.path).write_text(change.after, encoding="utf-8")
    return Written(root, made)


def assert_clean(written: Written) -> None:
    """What was written passes the linters, and is laid out as they would."""
    assert written.run("ruff", "check", ".").stdout == "All checks passed!\n"
    assert written.run("ruff", "format", "--check", ".").returncode == 0


def assert_noticed(written: Written, edits: Iterable[tuple[str, str, str]], *command: str) -> None:
    """Its own tests, run by a command, pass, and fail under each (path, old text, new text)."""
    whole = written.run(*command)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for path, old, new in edits:
        text = written.text(path)
        assert old in text
        (written.root / path).write_text(text.replace(old, new), encoding="utf-8")
        assert written.run(*command).returncode == 1, (old, new)
        (written.root / path).write_text(text, encoding="utf-8")


def case_of(root: Path) -> JobCase:
    """A repository as the stages see it."""
    request = Request(samples.SKILL, repo=root)
    seen = FoundInputs.of(request)
    target = seen.target
    case = build_case(request, target.repo, seen.tree, target.skill_file, target.spec_file)
    assert isinstance(case, JobCase)
    return case
