"""`action.yml`: its steps as a runner of GitHub would run them, with inputs that nobody means well
with, and an API that is a server of our own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helpers
import pytest
import yaml
from github_stand_in import TOKEN, Failure, serve_github
from test_comment import pull_request

ACTION: dict[str, Any] = yaml.safe_load((helpers.ROOT / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["id"]: step for step in ACTION["runs"]["steps"]}
EXPRESSION = re.compile(r"\$\{\{ ([^}]+) \}\}")
# What stands in for an installed skillrun: the same words, without a minute of pip.
STARTER = '#!/usr/bin/env bash\nexec "{python}" -m skillrun "$@"\n'
SEES_ENVIRONMENT = (
    '#!/usr/bin/env bash\nenv | sort >"$SKILLRUN_FOLDER/seen"\necho "$@" >"$SKILLRUN_FOLDER/said"\n'
)


@dataclass
class Runner:
    """One job of a workflow: the folder of its files, and what its steps are told."""

    folder: Path
    workspace: Path
    event: str = "pull_request"
    source: Path = helpers.ROOT

    def run(
        self, step: str, inputs: dict[str, str] | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """One step, as a runner runs it: its text from a file, its variables filled in before."""
        values = {f"inputs.{name}": spec["default"] for name, spec in ACTION["inputs"].items()}
        values["inputs.token"] = TOKEN
        values |= {f"inputs.{name}": value for name, value in (inputs or {}).items()}
        values["github.event_name"] = self.event
        values["steps.install.outputs.folder"] = str(self.folder / "made")
        found = STEPS[step]
        whole = helpers.clean_env(self.folder / "home") | env
        for name, text in found["env"].items():
            whole[name] = EXPRESSION.sub(lambda match: values[match[1]], text)
        whole["RUNNER_TEMP"] = str(self.folder)
        whole["GITHUB_ACTION_PATH"] = str(self.source)
        for name in ("OUTPUT", "STEP_SUMMARY", "ENV", "PATH", "STATE"):
            whole[f"GITHUB_{name}"] = str(self.folder / name)
        (self.folder / "script").write_text(found["run"])
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(self.folder / "script")]
        return subprocess.run(
            command, cwd=self.workspace, env=whole, capture_output=True, text=True, timeout=600
        )

    def install_stand_in(self, text: str = STARTER) -> None:
        """An environment as the first step leaves it."""
        bin_folder = self.folder / "made" / "env" / "bin"
        bin_folder.mkdir(parents=True)
        (bin_folder / "skillrun").write_text(text.format(python=sys.executable))
        (bin_folder / "skillrun").chmod(0o755)
        (bin_folder / "python").symlink_to(sys.executable)

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    repo = helpers.build_tree(tmp_path / "repo", {".skillrun/jobs/send.yaml": "version: 1\n"})
    (tmp_path / "job").mkdir()
    return Runner(tmp_path / "job", repo)


def test_it_satisfies_the_published_schema() -> None:
    schemas = pytest.importorskip("check_jsonschema.builtin_schemas")
    import jsonschema

    schema = schemas.get_builtin_schema("vendor.github-actions")
    assert list(jsonschema.Draft7Validator(schema).iter_errors(ACTION)) == []
    assert list(jsonschema.Draft7Validator(schema).iter_errors({**ACTION, "runs": {}})) != []


def test_no_input_is_part_of_a_commands_text() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
        assert "uses" not in step
    for name in ACTION["inputs"]:
        assert f"inputs.{name} " in (helpers.ROOT / "action.yml").read_text(), name


def test_the_verification_sees_no_token_and_no_file_of_the_runner(runner: Runner) -> None:
    runner.install_stand_in(SEES_ENVIRONMENT)
    done = runner.run("verify", {"base": "$(touch pwned); main"}, GITHUB_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    seen = runner.read("made/seen")
    assert TOKEN not in seen
    names = {line.partition("=")[0] for line in seen.splitlines()}
    assert not names & {f"GITHUB_{word}" for word in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
    assert "--base=$(touch pwned); main --format json" in runner.read("made/said")
    assert not (runner.workspace / "pwned").exists()
    assert "SKILLRUN_TOKEN" not in STEPS["verify"]["env"]


def test_a_line_of_the_repository_is_no_command_of_the_runner(runner: Runner) -> None:
    runner.install_stand_in("#!/usr/bin/env bash\necho '::error::all is lost'\nexit 3\n")
    done = runner.run("verify")
    first, said, last = done.stdout.splitlines()
    word = first.removeprefix("::stop-commands::")
    assert (done.returncode, said, last) == (3, "::error::all is lost", f"::{word}::")
    assert len(word) == 32
    assert word not in runner.run("verify").stdout


@pytest.mark.parametrize("event", ("pull_request_target", "workflow_run"))
def test_an_event_that_lends_a_fork_the_rights_to_write_is_refused(
    event: str, runner: Runner
) -> None:
    runner.event = event
    refused = runner.run("install")
    assert refused.returncode == 4
    assert refused.stdout.startswith("::error title=skillrun::refused under pull_request_target")
    assert runner.read("OUTPUT") == ""


def test_a_checkout_without_skillrun_is_no_source(runner: Runner) -> None:
    (runner.folder / "empty" / "action").mkdir(parents=True)
    runner.source = runner.folder / "empty"
    for path in (helpers.ROOT / "action").iterdir():
        (runner.source / "action" / path.name).write_text(path.read_text())
    refused = runner.run("install")
    assert refused.returncode == 4
    assert "nothing to install it from" in refused.stdout


@pytest.mark.parametrize(
    ("inputs", "said"),
    (
        ({"extras": "services]; touch pwned #"}, "extras: names of letters"),
        ({"extras": "services] --index-url https://x.example.org"}, "extras: names of letters"),
        ({"extras": "services\ntouch"}, "extras: names of letters"),
        ({"python": "python3; touch pwned"}, "python: skillrun runs on Python 3.11"),
        ({"python": "$(touch pwned)"}, "python: skillrun runs on Python 3.11"),
        ({"python": "false"}, "python: skillrun runs on Python 3.11"),
    ),
)
def test_an_input_that_is_more_than_a_word_runs_nothing(
    inputs: dict[str, str], said: str, runner: Runner
) -> None:
    refused = runner.run("install", inputs)
    assert refused.returncode == 4
    assert said in refused.stdout
    assert not (runner.workspace / "pwned").exists()


@pytest.mark.real
def test_nothing_of_the_repository_is_imported_while_it_installs(runner: Runner) -> None:
    """It runs in the repository's folder, where a pull request may have put a venv.py."""
    (runner.workspace / "venv.py").write_text("open('pwned', 'w')\n")
    (runner.workspace / "sitecustomize.py").write_text("open('pwned', 'w')\n")
    script = (helpers.ROOT / "action" / "install.sh").read_text()
    runner.source = runner.folder / "source"
    (runner.source / "action").mkdir(parents=True)
    # It stops behind the environment: there is nothing to install.
    (runner.source / "action" / "install.sh").write_text(script)
    (runner.source / "pyproject.toml").write_text("[project\n")
    (runner.source / "constraints.txt").write_text("")
    assert runner.run("install", {"python": sys.executable}).returncode not in (0, 4)
    assert not (runner.workspace / "pwned").exists()


def report(runner: Runner, url: str, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The last step, as a pull request's pipeline runs it."""
    (runner.folder / "event.json").write_text(json.dumps(pull_request("shop/shop")))
    env = {"GITHUB_EVENT_PATH": str(runner.folder / "event.json"), "GITHUB_API_URL": url}
    return runner.run("report", inputs, GITHUB_REPOSITORY="shop/shop", **env)


@pytest.mark.real
def test_what_was_found_is_a_summary_a_comment_and_an_outcome(runner: Runner) -> None:
    """The spec of this repository says too little: it is refused, and all of that is told."""
    runner.install_stand_in()
    verified = runner.run("verify")
    assert verified.returncode == 4, verified.stdout
    made = sorted(path.name for path in (runner.folder / "made").iterdir() if path.is_file())
    assert made == ["skillrun.json", "skillrun.junit.xml", "skillrun.md", "skillrun.sarif"]
    with serve_github() as github:
        done = report(runner, github.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "the comment of pull request 7: written\n"
        (body,) = github.bodies
    assert "a job could not be run at all" in body
    assert runner.read("STEP_SUMMARY").startswith("### ⛔ skillrun: a job could not be run")
    assert runner.read("OUTPUT") == "outcome=refused\n"


@pytest.mark.real
def test_a_comment_that_fails_fails_nothing(runner: Runner) -> None:
    runner.install_stand_in()
    runner.run("verify")
    with serve_github() as github:
        github.failures.append(Failure("POST", 422, times=9))
        done = report(runner, github.url)
        assert done.returncode == 0
        assert "::warning title=skillrun::the comment could not be written" in done.stdout
        asked = len(github.asked)
        assert report(runner, github.url, comment="false").stdout == ""
        assert len(github.asked) == asked


def test_where_nothing_was_verified_the_summary_says_so(runner: Runner) -> None:
    runner.install_stand_in("#!/usr/bin/env bash\nexit 3\n")
    assert runner.run("verify").returncode == 3
    assert report(runner, "http://127.0.0.1:9").returncode == 0
    assert "nothing was verified" in runner.read("STEP_SUMMARY")


@pytest.mark.real
def test_it_installs_itself_from_its_own_checkout(runner: Runner) -> None:
    """With pip and the package index, as a runner does; skipped where there is none."""
    through = ("PIP_", "SSL_", "REQUESTS_", "HTTP", "http", "no_proxy", "NO_PROXY")
    env = {name: value for name, value in os.environ.items() if name.startswith(through)}
    done = runner.run("install", {"python": sys.executable, "extras": ""}, **env)
    if "No matching distribution" in done.stderr or "ConnectionError" in done.stderr:
        pytest.skip(f"no package index: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    assert "skillrun" in done.stdout
    (line,) = runner.read("OUTPUT").splitlines()
    folder = Path(line.removeprefix("folder="))
    assert folder.parent == runner.folder
    assert (folder / "env" / "bin" / "skillrun").exists()
    assert helpers.git(runner.workspace, "status", "--porcelain") == ""
