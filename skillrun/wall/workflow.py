"""The GitHub Actions workflow that verifies every pull request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillrun.agents.interface import Addition
from skillrun.core.errors import Misuse
from skillrun.core.opening import parse_toml, read_utf8
from skillrun.wall.source import HINT, installed_source, read_source

PATH = ".github/workflows/skillrun.yml"
_PYTHON = "3.12"
# `-I`: a checkout that holds a `pip.py` installs nothing of its own. Workflows of before lack it.
_INSTALLS = re.compile(r"- name: Install skillrun\n +run: python (?:-I )?-m pip install (\S+)\n")
_EXTRAS = ("dev", "test", "tests", "testing")
_REQUIREMENTS = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-test.txt",
    "dev-requirements.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
)

_HEAD = """\
# Written by skillrun. It verifies every job spec from scratch, and fails where a change takes evidence away.
name: skillrun

on:
  pull_request:
  push:
    branches: [{branch}]

permissions: {{}}

jobs:
  verify:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    permissions:
      contents: read
      security-events: write  # the findings become code scanning alerts
    steps:
      - uses: actions/checkout@v5
        with:
          fetch-depth: 0  # the base branch is compared with
          persist-credentials: false  # the repository's own code runs below
      - uses: actions/setup-python@v6
        with:
          python-version: "{python}"
      - name: Install what the repository needs, into .venv
        run: |
{install}
      - name: Install skillrun
        run: python -I -m pip install {source}
      - name: Verify
        run: >-
          skillrun verify --ci
          --format sarif --output skillrun.sarif
          --format junit --output skillrun.junit.xml
          --format json --output skillrun.json
          --format markdown --output skillrun.md
"""
_TAIL = """\
      - name: Show what was found
        if: ${{ always() && hashFiles('skillrun.md') != '' }}
        run: cat skillrun.md >> "$GITHUB_STEP_SUMMARY"
      - name: Show the findings
        if: ${{ always() && hashFiles('skillrun.sarif') != '' && github.event.pull_request.head.repo.fork != true }}
        uses: github/codeql-action/upload-sarif@v4
        with:
          sarif_file: skillrun.sarif
          category: skillrun
      - name: Keep the reports
        if: ${{ always() && hashFiles('skillrun.sarif') != '' }}
        uses: actions/upload-artifact@v4
        with:
          name: skillrun
          path: |
            skillrun.sarif
            skillrun.junit.xml
            skillrun.json

  # A job of its own: where the comment is written, nothing of the pull request runs.
  comment:
    needs: verify
    if: >-
      ${{ always() && needs.verify.result != 'cancelled' && github.event_name == 'pull_request'
      && github.event.pull_request.head.repo.full_name == github.repository }}
    runs-on: ubuntu-latest
    timeout-minutes: 10
    permissions:
      contents: read
      pull-requests: write
    steps:
      - uses: actions/checkout@v5
        with:
          ref: ${{ github.event.pull_request.base.sha }}  # skillrun as the base has it
          persist-credentials: false
      - uses: actions/setup-python@v6
        with:
          python-version: "@PYTHON@"
      - name: Install skillrun
        run: python -I -m pip install @SOURCE@
      - name: Fetch what was found
        continue-on-error: true  # where nothing was verified, the first job says so
        uses: actions/download-artifact@v5
        with:
          name: skillrun
      - name: Keep the pull request's comment
        if: ${{ hashFiles('skillrun.json') != '' }}
        env:
          GITHUB_TOKEN: ${{ github.token }}
        run: skillrun comment skillrun.json
"""


def workflow_text(root: Path, source: str, *, branch: str = "main", python: str = _PYTHON) -> str:
    """The text of `.github/workflows/skillrun.yml` for a repository; `branch` is its main branch.

    `source` is where skillrun comes from, as `source.read_source` has it. The dependencies are
    installed as the
    repository declares them: uv, Poetry, pyproject.toml or requirements files.
    """
    install = "\n".join(f"          {line}" for line in _install_commands(root))
    name = '"' + branch.replace("\\", "\\\\").replace('"', '\\"') + '"'
    head = _HEAD.format(branch=name, python=python, install=install, source=source)
    # The braces of GitHub's own expressions stay as they are.
    return head + _TAIL.replace("@PYTHON@", python).replace("@SOURCE@", source)


def _install_commands(root: Path) -> list[str]:
    if (root / "uv.lock").is_file():
        return ["python -m pip install uv", "uv sync --locked --all-extras --all-groups"]
    project = _read_pyproject(root)
    if (root / "poetry.lock").is_file() or "poetry" in project.get("tool", {}):
        return [
            "python -m pip install poetry",
            "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --all-extras --no-interaction",
        ]
    return ["python -m venv .venv", *_with_pip(root, project)]


def _with_pip(root: Path, project: dict[str, Any]) -> list[str]:
    lines = []
    found = [f"-r {name}" for name in _REQUIREMENTS if (root / name).is_file()]
    if found:
        lines.append(f".venv/bin/python -m pip install {' '.join(found)}")
    if "project" in project or (root / "setup.py").is_file():
        declared = project.get("project", {}).get("optional-dependencies", {})
        extras = ",".join(name for name in _EXTRAS if name in declared)
        what = f"'.[{extras}]'" if extras else "."
        lines.append(f".venv/bin/python -m pip install -e {what}")
    declared_groups = project.get("dependency-groups", {})
    groups = [f"--group {name}" for name in _EXTRAS if name in declared_groups]
    if groups:
        lines.append(".venv/bin/python -m pip install --upgrade pip  # groups need 25.1")
        lines.append(f".venv/bin/python -m pip install {' '.join(groups)}")
    return lines or [
        "# The repository declares no dependencies: install here what its tests and its handler"
        " need."
    ]


def _read_pyproject(root: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_utf8(root / "pyproject.toml"))
    except (OSError, ValueError):
        return {}


def as_workflow(root: Path, source: str | None = None) -> Workflow:
    """What `skillrun install github-actions` installs: one file, and what to do then.

    Without a source it is that of the workflow which is there, else where this skillrun was
    installed from. Raises Misuse where there is none.
    """
    if source is None:
        source = _written_source(root) or installed_source()
    else:
        source = read_source(source, root)
    if source is None:
        what = f"{Workflow.ID}: the workflow has to install skillrun, and nothing says from where"
        raise Misuse(what, hint=HINT)
    text = workflow_text(root, source, branch=_main_branch(root))
    return Workflow(
        (Addition(PATH, "file", (), text),), f"read {PATH}: it installs skillrun from {source};"
    )


def _written_source(root: Path) -> str | None:
    """What the workflow of an earlier install names, where that is a pinned source still."""
    try:
        found = _INSTALLS.search(read_utf8(root / PATH))
        return read_source(found[1], root) if found else None
    except (OSError, ValueError, Misuse):
        return None


class Workflow:
    """An `agents.interface.Installable`; it has no hooks and no skills.

    Without additions it is enough for an uninstall, which takes back what the record says.
    """

    ID, NAME, CHECKED = "github-actions", "GitHub Actions", "actionlint 1.7"
    SKILLS: tuple[str, ...] = ()
    EVENTS: Mapping[str, str] = {}

    def __init__(self, additions: tuple[Addition, ...] = (), first: str = "") -> None:
        self.PROJECT = self.USER = additions
        committed = "then commit the file and make the check required for the main branch"
        self.NEXT = self.NEXT_USER = (first, committed)


def _main_branch(root: Path) -> str:
    """As the remote says, else main or master where there is one."""
    from skillrun.repo.git import run_git

    shown = run_git(root, "symbolic-ref", "-q", "--short", "refs/remotes/origin/HEAD")
    head = shown.stdout.decode().strip().removeprefix("origin/")
    if head:
        return head
    names = run_git(root, "branch", "--format=%(refname:short)").stdout.decode().split()
    if "main" not in names and "master" in names:
        return "master"
    return "main"
