"""`skillrun hook AGENT EVENT`: an agent asks before it acts, and before it says that it is done.

It runs on every tool call of an agent, so it is dispatched before typer is imported, and this
module imports little. What goes wrong in here never stops the agent: it is said on stderr, and the
answer is that nothing is to be said. CI is the wall (`skillrun verify --ci`); hooks remind.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from skillrun.agents.interface import Agent

USAGE = "usage: skillrun hook AGENT stop|pre-tool, with the agent's own JSON on standard input"


def main(arguments: "list[str]") -> int:
    """Reads the payload from stdin, prints the agent's own JSON, and returns 0; 2 where the command
    itself is wrong.
    """
    from skillrun.agents.registry import AGENTS, load_agent

    if len(arguments) != 2 or arguments[0] not in AGENTS:
        print(f"skillrun: {USAGE}", file=sys.stderr)
        print(f"  do: name one of {', '.join(AGENTS)}", file=sys.stderr)
        return 2
    agent, event = load_agent(arguments[0]), arguments[1]
    if event not in agent.EVENTS:
        known = ", ".join(agent.EVENTS) or "none"
        print(
            f"skillrun: hook {agent.ID} {event}: there is no such event; {agent.NAME} has: {known}",
            file=sys.stderr,
        )
        return 2
    if os.environ.get("SKILLRUN_CANARY"):
        print_answer(None, {"skillrun": "canary", "agent": agent.ID, "event": event})
        return 0
    print_answer(agent.ALLOW, _decide_answer(agent, event))
    return 0


def print_answer(allow: "Mapping[str, Any] | None", said: "Mapping[str, Any] | None") -> None:
    """Prints what is said, else the agent's own word for "go on", where it wants one."""
    value = said
    if value is None:
        value = allow
    if value is None:
        return
    try:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()
    except OSError:
        # Nobody listens any more. Python would try again at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _read_payload() -> "dict[str, Any]":
    """The JSON object on standard input; {} where there is none or nothing on it. Raises
    ValueError, RecursionError or OSError for what is no object.
    """
    data = b""
    if sys.stdin:
        data = sys.stdin.buffer.read()
    payload = json.loads(data or b"{}")
    if not isinstance(payload, dict):
        raise ValueError("not an object")
    return payload


def _decide_answer(agent: "Agent", event: str) -> "dict[str, Any] | None":
    """The answer that holds the agent up; None where it may go on, or where the hook
    itself failed.
    """
    try:
        payload = _read_payload()
    except (ValueError, RecursionError, OSError) as error:
        print(
            f"skillrun: hook {agent.ID} {event}: standard input is no JSON object: {error}",
            file=sys.stderr,
        )
        return None
    from skillrun.core.errors import SkillrunError

    try:
        asked = agent.read(payload)
        folder = asked.cwd or os.getcwd()
        if event == "pre-tool":
            from skillrun.agents.hooks.protect import why_not

            reason = why_not(asked.command, asked.paths, folder)
            if reason:
                return agent.tool_deny(reason)
            return None
        from skillrun.agents.hooks.stop import why_open

        reason = why_open(folder, agent.ID, again=asked.already_blocked)
        if reason:
            return agent.stop_block(reason)
        return None
    except SkillrunError as error:
        print(f"skillrun: hook {agent.ID} {event}: {error}; nothing is held up", file=sys.stderr)
        if error.hint:
            print(f"  do: {error.hint}", file=sys.stderr)
        return None
    except Exception as error:  # an agent must never be stuck on our account
        print(
            f"skillrun: hook {agent.ID} {event}: {type(error).__name__}: {error}", file=sys.stderr
        )
        return None
