"""The agents themselves: what an install writes makes each of them ask before a tool, obey a no,
and go on at a stop.

Run by `make agents`, with the agents on PATH. A stand-in model on loopback says what to do: no
account is needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
import stand_in_model

from skillrun.agents.registry import load_agent

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not os.environ.get("SKILLRUN_LIVE_AGENTS"), reason="starts coding agents: make agents"
    ),
]

# STAND-IN for `skillrun hook`: it blocks the first stop, denies one command, and writes down what
# it read.
HOOK = f"""\
#!{sys.executable}
import json, sys
sys.path.insert(0, {str(helpers.ROOT)!r})
from skillrun.agents.registry import load_agent
agent, event = load_agent(sys.argv[2]), sys.argv[3]
said = agent.read(json.load_agent(sys.stdin))
no = "denied" in (said.command or "") if event == "pre-tool" else not said.already_blocked
answer = (agent.tool_deny if event == "pre-tool" else agent.stop_block)("SKILLRUN-SAYS-NO-TO-" + event)
answer = answer if no else agent.ALLOW
with open("hook.log", "a") as log:
    log.write(json.dumps([event, said.tool, said.command, said.paths, said.cwd, bool(said.session), no]) + chr(10))
if answer is not None:
    print(json.dumps(answer))
"""


def claude(url: str, repo: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    env = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return ["claude", "-p", "work", "--permission-mode", "bypassPermissions"], env | {
        "IS_SANDBOX": "1"
    }


def codex(url: str, repo: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    """Trusted as a person would have done it, with the hashes that doctor expects."""
    from skillrun.agents.doctor.hooks import _codex_hooks

    config = f'model = "m"\nmodel_provider = "here"\n[projects."{repo}"]\ntrust_level = "trusted"\n'
    config += (
        f'[model_providers.here]\nname = "here"\nbase_url = "{url}/v1"\nwire_api = "responses"\n'
    )
    for _, key, digest in _codex_hooks(repo):
        config += f'[hooks.state."{key}"]\ntrusted_hash = "{digest}"\n'
    helpers.write_files(home, {".codex/config.toml": config.encode()})
    return ["codex", "exec", "--dangerously-bypass-approvals-and-sandbox", "work"], {}


def copilot(url: str, repo: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    helpers.write_files(
        home, {".copilot/config.json": json.dumps({"trusted_folders": [str(repo)]})}
    )
    env = {
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "none",
        "COPILOT_MODEL": "gpt-4.1",
    }
    return ["copilot", "-p", "work", "--allow-all-tools"], env


def gemini(url: str, repo: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
    trusted = {str(repo): "TRUST_FOLDER"}
    files = {
        ".gemini/settings.json": json.dumps(settings),
        ".gemini/trustedFolders.json": json.dumps(trusted),
    }
    helpers.write_files(home, files)
    command = ["gemini", "--yolo", "-m", "gemini-2.5-flash", "-p", "work"]
    return command, {"GEMINI_API_KEY": "none", "GOOGLE_GEMINI_BASE_URL": url}


def opencode(url: str, repo: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "here",
        "options": options,
        "models": {"m": {"name": "m"}},
    }
    config = {"model": "here/m", "small_model": "here/m", "provider": {"here": provider}}
    helpers.write_files(home, {".config/opencode/opencode.json": json.dumps(config)})
    return ["opencode", "run", "work"], {}


STARTS: dict[str, Callable[[str, Path, Path], tuple[list[str], dict[str, str]]]] = {
    "claude": claude,
    "codex": codex,
    "copilot": copilot,
    "gemini": gemini,
    "opencode": opencode,
}


@pytest.mark.parametrize("agent", STARTS)
def test_an_agent_asks_obeys_and_goes_on(agent: str, tmp_path: Path) -> None:
    if shutil.which(load_agent(agent).PROGRAMS[0]) is None:
        pytest.skip(f"{agent} is not on PATH")
    repo, home, bin_folder = (
        helpers.build_tree(tmp_path / "repo", {"a.txt": "a\n"}),
        tmp_path / "home",
        tmp_path / "bin",
    )
    helpers.write_files(bin_folder, {"skillrun": HOOK.encode()})
    (bin_folder / "skillrun").chmod(0o755)
    assert helpers.run_cli("install", agent, cwd=repo).returncode == 0
    with stand_in_model.running() as model:
        command, env = STARTS[agent](model.url, repo, home)
        env |= {"HOME": str(home), "PATH": os.pathsep.join((str(bin_folder), os.environ["PATH"]))}
        done = subprocess.run(
            command,
            cwd=repo,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    seen = [json.loads(line) for line in (repo / "hook.log").read_text().splitlines()]
    assert [entry[2] for entry in seen[:2]] == list(stand_in_model.WISHES[:2]), done.stderr
    assert not (repo / "denied-file").exists()
    assert (repo / "allowed-file").exists()
    assert (repo / "written-file").exists()
    assert [Path(path).name for path in seen[2][3]] == ["written-file"]
    assert all(entry[4:6] == [str(repo), True] for entry in seen)
    check_stop(agent, seen[3:], model)


def check_stop(agent: str, seen: list[Any], model: stand_in_model.Model) -> None:
    """Blocked once; what it said reached the model; then let go, since the agent says that it goes
    on for that.
    """
    assert any("SKILLRUN-SAYS-NO-TO-pre-tool" in text for text in model.said)
    if "stop" not in load_agent(agent).EVENTS:
        assert seen == []
        return
    assert [(entry[0], entry[6]) for entry in seen] == [("stop", True), ("stop", False)]
    assert "SKILLRUN-SAYS-NO-TO-stop" in model.said[-1]
