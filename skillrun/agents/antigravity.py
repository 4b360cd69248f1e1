"""Antigravity (agy): hooks in `.agents/hooks.json`, one group of our own; the MCP server in
`.agents/mcp_config.json`.

A PreToolUse hook must answer each call with a decision, and "allow" may be taken as the user's own:
it is not installed, so that nothing is allowed by it. One bad member would drop the whole file
without a word.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition, HookInput
from skillrun.agents.shapes import (
    first_of,
    hook_command,
    list_present,
    mcp_server,
    parse_mapping,
    text_or_none,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "antigravity"
NAME = "Antigravity"
PROGRAMS = ("agy",)
CHECKED = "documentation of 2026-10-04, agy 1.1.25, both read through secondary sources"
SOURCE = "https://antigravity.google/docs/hooks"
UNVERIFIED = (
    "that its Stop hook holds the agent; what it does with a hook that fails; where it reads a"
    " user's skills"
)
EVENTS = {"stop": "Stop", "pre-tool": "PreToolUse"}
# Stop: any word but "continue"; PreToolUse refuses the call without a decision.
ALLOW = {"decision": "allow"}
SKILLS = (".agents/skills",)


def _hooks(path: str) -> Addition:
    handler = {"type": "command", "command": hook_command(ID, "stop"), "timeout": 120}
    return Addition(path, "member", ("skillrun",), {"Stop": [handler]})


PROJECT = (mcp_server(".agents/mcp_config.json"), _hooks(".agents/hooks.json"))
USER = (mcp_server(".gemini/config/mcp_config.json"), _hooks(".gemini/config/hooks.json"))
NEXT = (
    "restart agy here; /mcp lists the server skillrun",
    "whether its Stop hook holds the agent was not seen: end a turn with work left, and look",
)
NEXT_USER = NEXT
_WRITERS = ("multi_replace_file_content", "replace_file_content", "write_to_file")


def read(payload: dict[str, Any]) -> HookInput:
    """What agy told the hook, in camel case: a tool call is `{name, args}` with `CommandLine` or
    `TargetFile`.
    """
    call = parse_mapping(payload.get("toolCall"))
    tool, given = text_or_none(call.get("name")), parse_mapping(call.get("args"))
    command = None
    if tool == "run_command":
        command = text_or_none(given.get("CommandLine"))
    paths: tuple[str, ...] = ()
    if tool in _WRITERS:
        paths = list_present(text_or_none(given.get("TargetFile")))
    # False: work goes on behind it, so that this is not the end yet.
    is_idle = payload.get("fullyIdle")
    return HookInput(
        cwd=first_of(payload.get("workspacePaths")) or text_or_none(given.get("Cwd")),
        session=text_or_none(payload.get("conversationId")),
        already_blocked=is_idle is False,
        tool=tool,
        command=command,
        paths=paths,
    )


def stop_block(reason: str) -> dict[str, Any]:
    """The reason becomes a message of the system."""
    return {"decision": "continue", "reason": reason}


def tool_deny(reason: str) -> dict[str, Any]:
    """Seen to work with agy 1.1.2 (safe-chains, 2026-07-13)."""
    return {"decision": "deny", "reason": reason}
