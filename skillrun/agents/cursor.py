"""Cursor: hooks in `.cursor/hooks.json` (flat, lower camel case), the MCP server in
`.cursor/mcp.json`.

Its stop hook cannot block: it submits the next message by itself, at most `loop_limit` times. An
answer that is no JSON blocks, any other failure lets pass. Cursor can be told to load
`.claude/settings.json`, too: then hooks run twice.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition, HookInput
from skillrun.agents.shapes import (
    first_of,
    first_text,
    hook_command,
    list_present,
    mcp_server,
    parse_mapping,
    text_or_none,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "cursor"
NAME = "Cursor"
PROGRAMS = ("cursor-agent", "cursor")
CHECKED = "documentation of 2026-10-04, read through secondary sources"
SOURCE = "https://cursor.com/docs/hooks"
UNVERIFIED = (
    "the names of its tools and of their path fields; cloud agents run no hooks in early read-only"
    " turns"
)
EVENTS = {"stop": "stop", "pre-tool": "preToolUse"}
ALLOW: dict[str, Any] = {}
SKILLS = (".agents/skills",)
_HOOKS = ".cursor/hooks.json"
_SHELLS = ("Shell",)
_WRITERS = ("Delete", "Edit", "EditNotebook", "StrReplace", "Write")
_PRE_TOOL = {
    "command": hook_command(ID, "pre-tool"),
    "matcher": "|".join((*_SHELLS, *_WRITERS)),
    "timeout": 10,
}
PROJECT = (
    mcp_server(".cursor/mcp.json"),
    Addition(_HOOKS, "default", ("version",), 1),
    Addition(
        _HOOKS,
        "element",
        ("hooks", "stop"),
        {"command": hook_command(ID, "stop"), "timeout": 120, "loop_limit": 5},
    ),
    Addition(_HOOKS, "element", ("hooks", "preToolUse"), _PRE_TOOL),
)
USER = PROJECT
NEXT = (
    (
        "open this repository in Cursor as a trusted workspace, and switch the MCP server skillrun"
        " on in its settings"
    ),
    "if Cursor also loads hooks of .claude/settings.json, switch that off: they would run twice",
)
NEXT_USER = ("restart Cursor, and switch the MCP server skillrun on in its settings",)


def read(payload: dict[str, Any]) -> HookInput:
    """`loop_count` counts the messages that this hook has submitted; `tool_input` has `command`, or
    a path.
    """
    tool, given = text_or_none(payload.get("tool_name")), parse_mapping(payload.get("tool_input"))
    count = payload.get("loop_count")
    path = first_text(given, "file_path", "path", "target_file", "target_notebook")
    return HookInput(
        cwd=text_or_none(payload.get("cwd")) or first_of(payload.get("workspace_roots")),
        session=text_or_none(payload.get("conversation_id")),
        already_blocked=isinstance(count, int) and count > 0,
        tool=tool,
        command=text_or_none(given.get("command")) if tool in _SHELLS else None,
        paths=list_present(path) if tool in _WRITERS else (),
    )


def stop_block(reason: str) -> dict[str, Any]:
    """The reason becomes the user's next message."""
    return {"followup_message": reason}


def tool_deny(reason: str) -> dict[str, Any]:
    """`ask` is parsed there, but not enforced."""
    return {"permission": "deny", "user_message": reason, "agent_message": reason}
