"""`skillrun hook`: JSON in, the agent's own JSON out; blocks once for a tree, never gets in the way
by failing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from places import Place

from skillrun.agents.registry import AGENTS, load_agent

WITH_STOP = [name for name in AGENTS if "stop" in load_agent(name).EVENTS]
WITH_TOOL = [name for name in AGENTS if "pre-tool" in load_agent(name).EVENTS]
HANDLER = "shop/tasks.py"


def hook(
    repo: Path, agent: str, event: str, payload: Any, **env: str
) -> subprocess.CompletedProcess[str]:
    given = payload if isinstance(payload, str) else json.dumps(payload)
    return helpers.run_cli("hook", agent, event, cwd=repo, input=given, env=env)


def stop(repo: Path, agent: str = "claude", **more: Any) -> str | None:
    """The reason of a block, or None."""
    payload = {
        "cwd": str(repo),
        "workspace_roots": [str(repo)],
        "hook_event_name": "Stop",
        "status": "completed",
        **more,
    }
    done = hook(repo, agent, "stop", payload)
    assert done.returncode == 0
    assert done.stderr == ""
    said = json.loads(done.stdout) if done.stdout.strip() else {}
    return next((text for name in ("reason", "followup_message") if (text := said.get(name))), None)


def tries_for_ever(repo: Path) -> None:
    shops.shop(repo)
    (repo / HANDLER).write_text(
        (repo / HANDLER).read_text().replace("max_retries=4", "max_retries=None")
    )
    shops.run(repo, "--trust", code=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("open"), tries_for_ever)


@pytest.fixture
def repo(place: Place) -> Path:
    """A shop whose run is open: the handler tries for ever."""
    return place.restored()


def hook_events(repo: Path) -> list[str]:
    return [e["type"] for e in shops.events(shops.ledger_of(repo)) if e["type"].startswith("hook.")]


@pytest.mark.real
def test_done_is_blocked_once_for_a_tree_and_then_recorded_as_unverified(repo: Path) -> None:
    said = stop(repo)
    assert said is not None
    first, todo, command = said.splitlines()
    assert "is partial" in first
    assert todo.startswith("Next: ")
    assert "skillrun job-worker-orchestration" in command
    assert stop(repo) is None
    assert stop(repo, stop_hook_active=True) is None
    assert hook_events(repo) == ["hook.blocked", "hook.unverified"]
    assert shops.asked(repo, "ledger verify")["integrity"] == "whole"


@pytest.mark.real
def test_a_changed_tree_is_blocked_again(repo: Path) -> None:
    assert stop(repo)
    (repo / HANDLER).write_text((repo / HANDLER).read_text() + "# tried something\n")
    assert stop(repo, stop_hook_active=True)
    assert hook_events(repo) == ["hook.blocked", "hook.blocked"]


@pytest.mark.real
def test_a_tree_that_changes_by_itself_holds_nobody_for_ever(repo: Path) -> None:
    for number in range(3):
        (repo / "dev.log").write_text("x" * number)
        assert stop(repo, stop_hook_active=True)
    (repo / "dev.log").write_text("more")
    assert stop(repo, stop_hook_active=True) is None
    assert hook_events(repo) == ["hook.blocked"] * 3 + ["hook.unverified"]


@pytest.mark.real
def test_a_broken_spec_is_no_way_out(repo: Path) -> None:
    spec = repo / shops.SPEC
    spec.write_text(spec.read_text() + "x: [\n")
    said = stop(repo)
    assert said is not None
    assert ".skillrun/jobs/send-receipt.yaml" in said
    assert stop(repo) is None


@pytest.mark.real
def test_several_open_jobs_are_one_block(repo: Path) -> None:
    text = (repo / shops.SPEC).read_text().replace("job: send-receipt", "job: other")
    (repo / ".skillrun" / "jobs" / "other.yaml").write_text(text)
    shops.run(repo, "--spec", ".skillrun/jobs/other.yaml", "--trust", code=1)
    said = stop(repo)
    assert said is not None
    assert said.endswith("Other open jobs: 1.")
    assert stop(repo) is None


@pytest.mark.real
def test_the_hook_leaves_the_run_as_it_was(repo: Path) -> None:
    before = shops.report(repo, code=1)
    stop(repo)
    after = shops.report(repo, code=1)
    assert shops.stages(after) == shops.stages(before)


@pytest.mark.real
def test_success_is_not_blocked_until_its_evidence_is_stale(finished_shop: Path) -> None:
    repo = finished_shop
    assert stop(repo) is None
    (repo / HANDLER).write_text((repo / HANDLER).read_text() + "# more\n")
    said = stop(repo)
    assert said is not None
    assert "changed since: " in said


@pytest.mark.real
def test_a_run_from_before_there_was_a_spec_is_over(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    spec = (repo / shops.SPEC).read_text()
    (repo / shops.SPEC).unlink()
    shops.run(repo, code=3)
    (repo / shops.SPEC).write_text(spec)
    assert stop(repo)
    shops.run(repo, "--trust", code=0)
    assert stop(repo) is None


def test_where_no_run_was_made_nothing_is_said(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop")
    assert stop(repo) is None
    assert not shops.ledger_of(repo).exists()
    assert stop(tmp_path) is None


def test_a_ledger_that_cannot_be_written_blocks_nobody(repo: Path) -> None:
    shops.ledger_of(repo).write_bytes(b"no ledger")
    done = hook(repo, "claude", "stop", {"cwd": str(repo)})
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("skillrun: hook claude stop: ")


@pytest.mark.real
@pytest.mark.parametrize("agent", WITH_STOP)
def test_every_agent_is_blocked_in_its_own_words(agent: str, repo: Path) -> None:
    payload = {
        "cwd": str(repo),
        "workspace_roots": [str(repo)],
        "workspacePaths": [str(repo)],
        "status": "completed",
    }
    done = hook(repo, agent, "stop", payload)
    said = json.loads(done.stdout)
    assert said == dict(
        load_agent(agent).stop_block(
            next(text for text in said.values() if "skillrun: " in str(text))
        )
    )


@pytest.mark.parametrize("agent", WITH_TOOL)
def test_what_is_allowed_is_answered_with_the_agents_own_word_for_nothing(
    agent: str, tmp_path: Path
) -> None:
    done = hook(tmp_path, agent, "pre-tool", {"cwd": str(tmp_path)})
    allow = load_agent(agent).ALLOW
    assert done.returncode == 0
    assert done.stdout == ("" if allow is None else json.dumps(allow) + "\n")


def test_a_denied_tool_call(tmp_path: Path) -> None:
    payload = {
        "cwd": str(tmp_path),
        "tool_name": "Bash",
        "tool_input": {"command": "rm -rf .skillrun"},
    }
    said = json.loads(hook(tmp_path, "claude", "pre-tool", payload).stdout)
    assert said["hookSpecificOutput"]["permissionDecision"] == "deny"


@pytest.mark.parametrize("given", ["", "nonsense", "[]", '"text"', "\x00", "[" * 200_000])
@pytest.mark.parametrize("event", ["stop", "pre-tool"])
def test_whatever_comes_in_nobody_is_stuck(given: str, event: str, tmp_path: Path) -> None:
    done = hook(tmp_path, "claude", event, given)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [[], ["claude"], ["nobody", "stop"], ["claude", "lunch"], ["claude", "stop", "more"]]
)
def test_a_wrong_command_is_one_line_and_code_2(words: list[str], tmp_path: Path) -> None:
    done = helpers.run_cli("hook", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("skillrun: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("agent", WITH_STOP)
def test_the_canary_answers_and_looks_at_nothing(agent: str, tmp_path: Path) -> None:
    done = hook(tmp_path, agent, "stop", "", SKILLRUN_CANARY="1")
    assert json.loads(done.stdout) == {"skillrun": "canary", "agent": agent, "event": "stop"}


def test_a_tool_call_imports_next_to_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "skillrun", "hook", "claude", "pre-tool"]
    payload = json.dumps(
        {"cwd": str(tmp_path), "tool_name": "Bash", "tool_input": {"command": "ls"}}
    )
    env = helpers.clean_env(tmp_path / "home")
    done = subprocess.run(
        command, input=payload, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {
        "typer",
        "click",
        "pydantic",
        "yaml",
        "rich",
        "dataclasses",
        "typing",
        "pathlib",
        "subprocess",
    }
    assert "skillrun.agents.hooks.protect" in loaded
