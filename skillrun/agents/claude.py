"""Claude Code: hooks in `.claude/settings.json`, the MCP server in `.mcp.json`.

A hook that ends with another code than 0 or 2, or takes too long, lets everything pass; and eight
blocks in a row end the turn all the same. `onFailure` (from 2.1.295) is not written: somebody
without skillrun could not work at all.
"""

from __future__ import annotations

from skillrun.agents.interface import HookInput
from skillrun.agents.shapes import (
    first_text,
    hook_group,
    list_present,
    mcp_server,
    parse_mapping,
    text_or_none,
)
from skillrun.agents.shapes import stop_block as stop_block
from skillrun.agents.shapes import tool_deny as tool_deny

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "claude"
NAME = "Claude Code"
PROGRAMS = ("claude",)
CHECKED = "Claude Code 2.1.197 run against a stand-in model; documentation of 2026-08-22"
SOURCE = "https://code.claude.com/docs/en/hooks"
UNVERIFIED = "`claude --bare` runs no hooks"
EVENTS = {"stop": "Stop", "pre-tool": "PreToolUse"}
ALLOW = None
SKILLS = (".agents/skills", ".claude/skills")
_SETTINGS = ".claude/settings.json"
_SHELLS = ("Bash", "PowerShell")
_WRITERS = ("Edit", "MultiEdit", "NotebookEdit", "Write")
_HOOKS = (
    hook_group(_SETTINGS, ID, "stop", "Stop", timeout=120),
    hook_group(
        _SETTINGS, ID, "pre-tool", "PreToolUse", timeout=10, matcher="|".join((*_SHELLS, *_WRITERS))
    ),
)
PROJECT = (mcp_server(".mcp.json"), *_HOOKS)
USER = _HOOKS
NEXT = (
    "start claude here once: it asks whether you trust this folder and its MCP server skillrun",
)
NEXT_USER = (
    "add the MCP server yourself: claude mcp add --scope user skillrun -- skillrun mcp",
    "(its file, ~/.claude.json, is written by every running session, so skillrun leaves it alone)",
)


def read(payload: dict[str, Any]) -> HookInput:
    """`tool_input` has `command`, `file_path` or `notebook_path`; the paths are absolute."""
    tool, given = text_or_none(payload.get("tool_name")), parse_mapping(payload.get("tool_input"))
    return HookInput(
        cwd=text_or_none(payload.get("cwd")),
        session=text_or_none(payload.get("session_id")),
        already_blocked=payload.get("stop_hook_active") is True,
        tool=tool,
        command=text_or_none(given.get("command")) if tool in _SHELLS else None,
        paths=list_present(first_text(given, "file_path", "notebook_path"))
        if tool in _WRITERS
        else (),
    )
