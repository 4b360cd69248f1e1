"""The GitHub Actions workflow that verifies every pull request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillrun.agents.interface import Addition
from skillrun.opening import parse_toml, read_utf8

PATH = ".github/workflows/skillrun.yml"
_PYTHON = "3.12"
_EXTRAS = ("dev", "test", "tests", "testing")
_REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-test.txt", "dev-requirements.txt",
                 "requirements/dev.txt", "requirements/test.txt")  # fmt: skip

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
        run: python -m pip install skillrun-cli
      - name: Verify
        run: >-
          skillrun verify --ci
          --format sarif --output skillrun.sarif
          --format junit --output skillrun.junit.xml
"""
_TAIL = """\
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
"""


def workflow_text(root: Path, *, branch: str = "main", python: str = _PYTHON) -> str:
    """The text of `.github/workflows/skillrun.yml` for a repository; `branch` is its main branch.

    The dependencies are installed as the repository declares them: uv, Poetry, pyproject.toml or requirements files.
    """
    install = "\n".join(f"          {line}" for line in _install(root))
    name = '"' + branch.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return _HEAD.format(branch=name, python=python, install=install) + _TAIL


def _install(root: Path) -> list[str]:
    if (root / "uv.lock").is_file():
        return ["python -m pip install uv", "uv sync --locked --all-extras --all-groups"]
    project = _pyproject(root)
    if (root / "poetry.lock").is_file() or "poetry" in project.get("tool", {}):
        return [
            "python -m pip install poetry",
            "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --all-extras --no-interaction",
        ]
    return ["python -m venv .venv", *_with_pip(root, project)]


def _with_pip(root: Path, project: dict[str, Any]) -> list[str]:
    found = [name for name in _REQUIREMENTS if (root / name).is_file()]
    lines = [f".venv/bin/python -m pip install {' '.join(f'-r {name}' for name in found)}"] if found else []
    if "project" in project or (root / "setup.py").is_file():
        declared = project.get("project", {}).get("optional-dependencies", {})
        extras = ",".join(name for name in _EXTRAS if name in declared)
        what = f"'.[{extras}]'" if extras else "."
        lines.append(f".venv/bin/python -m pip install -e {what}")
    groups = [name for name in _EXTRAS if name in project.get("dependency-groups", {})]
    if groups:
        lines.append(".venv/bin/python -m pip install --upgrade pip  # groups need 25.1")
        lines.append(f".venv/bin/python -m pip install {' '.join(f'--group {name}' for name in groups)}")
    return lines or ["# The repository declares no dependencies: install here what its tests and its handler need."]


def _pyproject(root: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_utf8(root / "pyproject.toml"))
    except (OSError, ValueError):
        return {}


def as_agent(root: Path) -> Workflow:
    """What `skillrun install github-actions` installs, in the form of an agent: one file, and what to do then."""
    return Workflow(root)


class Workflow:
    """Fits `agents.interface.Agent` as far as an install asks; it has no hooks and no skills."""

    ID, NAME, CHECKED = "github-actions", "GitHub Actions", "actionlint 1.7"
    SKILLS: tuple[str, ...] = ()
    EVENTS: Mapping[str, str] = {}
    NEXT = (
        "read .github/workflows/skillrun.yml: it installs skillrun-cli from the package index, where it is not yet;",
        "name the place that yours comes from, then commit the file and make the check required for the main branch",
    )

    def __init__(self, root: Path) -> None:
        self.PROJECT = (Addition(PATH, "file", (), workflow_text(root, branch=_main_branch(root))),)
        self.USER = self.PROJECT


def _main_branch(root: Path) -> str:
    """As the remote says, else main or master where there is one."""
    from skillrun.repo.git import run_git

    head = run_git(root, "symbolic-ref", "-q", "--short", "refs/remotes/origin/HEAD").stdout.decode().strip()
    names = run_git(root, "branch", "--format=%(refname:short)").stdout.decode().split()
    return head.removeprefix("origin/") or next((name for name in ("main", "master") if name in names), "main")
