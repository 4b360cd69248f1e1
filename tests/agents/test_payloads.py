"""What the agents say to a hook is read, and what a hook answers has exactly the form that they
document.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import helpers
import payloads
import pytest

from skillrun.agents.interface import HookInput
from skillrun.agents.registry import AGENTS, load_agent
from skillrun.core.errors import Misuse


def facts(given: HookInput) -> dict[str, Any]:
    return {name: getattr(given, name) for name in HookInput.__slots__}


@pytest.mark.parametrize("case", payloads.READ)
def test_a_documented_payload_is_read(case: str) -> None:
    agent, payload, expected = payloads.READ[case]
    assert facts(load_agent(agent).read(payload)) == facts(HookInput(**expected))


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("junk", (None, 7, "x", [], [1], {}, {"a": 1}, True), ids=repr)
def test_junk_in_every_field_is_read_as_nothing(agent: str, junk: Any) -> None:
    documented = {key for name, payload, _ in payloads.READ.values() for key in payload}
    for key in documented:
        given = load_agent(agent).read({key: junk})
        assert given.command is None
        assert given.paths == ()
        assert load_agent(agent).read({"tool_name": "Bash", "tool_input": junk}).command is None


@pytest.mark.parametrize("agent", payloads.STOP_BLOCK)
def test_the_answer_that_blocks(agent: str) -> None:
    assert load_agent(agent).stop_block("because") == payloads.STOP_BLOCK[agent]


@pytest.mark.parametrize("agent", payloads.TOOL_DENY)
def test_the_answer_that_denies(agent: str) -> None:
    assert load_agent(agent).tool_deny("because") == payloads.TOOL_DENY[agent]


def test_the_answer_that_lets_go_on() -> None:
    assert {name: load_agent(name).ALLOW for name in AGENTS} == {
        "claude": None,
        "codex": {},  # Stop wants JSON with exit code 0
        "cursor": {},
        "copilot": None,
        "gemini": {},  # stdout is JSON only
        "antigravity": {"decision": "allow"},  # the decision is required
        "opencode": None,
        "agents": None,
    }


def test_every_word_has_its_event() -> None:
    assert {name: dict(load_agent(name).EVENTS) for name in AGENTS} == {
        "claude": {"stop": "Stop", "pre-tool": "PreToolUse"},
        "codex": {"stop": "Stop", "pre-tool": "PreToolUse"},
        "cursor": {"stop": "stop", "pre-tool": "preToolUse"},
        "copilot": {"stop": "agentStop", "pre-tool": "preToolUse"},
        "gemini": {"stop": "AfterAgent", "pre-tool": "BeforeTool"},
        "antigravity": {"stop": "Stop", "pre-tool": "PreToolUse"},
        "opencode": {"pre-tool": "tool.execute.before"},
        "agents": {},
    }


def test_an_unknown_agent_is_misuse() -> None:
    with pytest.raises(Misuse, match="emacs"):
        load_agent("emacs")


@pytest.mark.parametrize("agent", AGENTS)
def test_loading_one_agent_imports_nothing_heavy(agent: str) -> None:
    """A hook runs before every tool call: no typing, no dataclasses, no other agent."""
    script = (
        f"import sys; from skillrun.agents.registry import load_agent; load_agent({agent!r});"
        " print(*sys.modules)"
    )
    command = [sys.executable, "-S", "-c", script]
    done = subprocess.run(command, cwd=helpers.ROOT, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert imported & {"typing", "dataclasses", "enum", "re", "json", "pathlib", "inspect"} == set()
    others = {f"skillrun.agents.{name}" for name in AGENTS if name not in (agent, "claude")}
    assert imported & others == set()
