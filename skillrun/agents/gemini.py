"""Gemini CLI: hooks and the MCP server both in `.gemini/settings.json`; time limits are
milliseconds.

What a hook prints must be JSON and nothing else. Individual accounts are no longer served since
2026-06-18: its successor is Antigravity; enterprises and API keys go on.
"""

from __future__ import annotations

from skillrun.agents.interface import HookInput
from skillrun.agents.shapes import hook_group, list_present, mcp_server, parse_mapping, text_or_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "gemini"
NAME = "Gemini CLI"
PROGRAMS = ("gemini",)
CHECKED = "Gemini CLI 0.61.0 run against a stand-in model; google-gemini/gemini-cli 06c0d81"
SOURCE = "https://github.com/google-gemini/gemini-cli/blob/main/docs/hooks/reference.md"
UNVERIFIED = ""
EVENTS = {"stop": "AfterAgent", "pre-tool": "BeforeTool"}
ALLOW: dict[str, Any] = {}
SKILLS = (".agents/skills",)
_SETTINGS = ".gemini/settings.json"
_SHELLS = ("run_shell_command",)
_WRITERS = ("replace", "write_file")
PROJECT = (
    mcp_server(_SETTINGS),
    hook_group(_SETTINGS, ID, "stop", "AfterAgent", timeout=120_000),
    hook_group(
        _SETTINGS,
        ID,
        "pre-tool",
        "BeforeTool",
        timeout=10_000,
        matcher="|".join((*_SHELLS, *_WRITERS)),
    ),
)
USER = PROJECT
NEXT = ("start gemini here and trust the folder; /hooks and /mcp list what it loaded",)
NEXT_USER = ("restart gemini; /hooks and /mcp list what it loaded",)


def read(payload: dict[str, Any]) -> HookInput:
    """`tool_input` has `command` or `file_path`."""
    tool, given = text_or_none(payload.get("tool_name")), parse_mapping(payload.get("tool_input"))
    return HookInput(
        cwd=text_or_none(payload.get("cwd")),
        session=text_or_none(payload.get("session_id")),
        already_blocked=payload.get("stop_hook_active") is True,
        tool=tool,
        command=text_or_none(given.get("command")) if tool in _SHELLS else None,
        paths=list_present(text_or_none(given.get("file_path"))) if tool in _WRITERS else (),
    )


def stop_block(reason: str) -> dict[str, Any]:
    """Rejects the answer; the reason becomes the next prompt."""
    return {"decision": "deny", "reason": reason}


tool_deny = stop_block
