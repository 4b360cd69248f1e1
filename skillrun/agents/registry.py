"""The agents that skillrun knows; only the module that is asked for is imported."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skillrun.agents import (
        agents,
        antigravity,
        claude,
        codex,
        copilot,
        cursor,
        gemini,
        opencode,
    )
    from skillrun.agents.interface import Agent

    # The type checker checks every module here.
    _CHECKED: dict[str, Agent] = {
        "claude": claude,
        "codex": codex,
        "cursor": cursor,
        "copilot": copilot,
        "gemini": gemini,
        "antigravity": antigravity,
        "opencode": opencode,
        "agents": agents,
    }

AGENTS = {
    name: f"skillrun.agents.{name}"
    for name in (
        "claude",
        "codex",
        "cursor",
        "copilot",
        "gemini",
        "antigravity",
        "opencode",
        "agents",
    )
}


def load_agent(agent: str) -> Agent:
    """The agent of that id. Raises Misuse for an unknown one, naming those that there are."""
    if agent not in AGENTS:
        from skillrun.core.errors import Misuse
        from skillrun.core.text import visible

        raise Misuse(f"{visible(agent, 100)}: no such agent", hint=f"one of: {', '.join(AGENTS)}")
    module: Any = importlib.import_module(AGENTS[agent])
    found: Agent = module
    return found
