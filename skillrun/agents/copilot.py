"""GitHub Copilot, its command line and its cloud agent: `.github/hooks/skillrun.json`, `.mcp.json`.

A `preToolUse` hook that fails denies the call, so that the committed command lets pass where there
is no skillrun: else nobody without it, and no cloud agent, could do anything. A hook that takes too
long lets pass.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition, HookInput
from skillrun.agents.shapes import (
    SERVER,
    first_text,
    hook_command,
    list_present,
    mcp_server,
    parse_mapping,
    patched_files,
    text_or_none,
)
from skillrun.agents.shapes import (
    stop_block as stop_block,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "copilot"
NAME = "GitHub Copilot"
PROGRAMS = ("copilot",)
CHECKED = "Copilot CLI 1.0.102 run against a stand-in model; github/docs 05da5bc"
SOURCE = "https://docs.github.com/en/copilot/reference/hooks-reference"
UNVERIFIED = "the cloud agent"
EVENTS = {"stop": "agentStop", "pre-tool": "preToolUse"}
ALLOW = None
SKILLS = (".agents/skills",)
_SHELLS = ("bash", "powershell", "Bash")
_WRITERS = ("apply_patch", "create", "edit", "str_replace_editor", "Edit", "Write")


def _hooks(path: str) -> tuple[Addition, ...]:
    def handler(word: str, **more: Any) -> dict[str, Any]:
        command = f"command -v skillrun >/dev/null || exit 0; {hook_command(ID, word)}"
        return {"type": "command", "bash": command, **more}

    matcher = "|".join(name for name in (*_SHELLS, *_WRITERS) if name.islower())
    return (
        Addition(path, "default", ("version",), 1),
        Addition(path, "element", ("hooks", "agentStop"), handler("stop", timeoutSec=120)),
        Addition(
            path,
            "element",
            ("hooks", "preToolUse"),
            handler("pre-tool", matcher=matcher, timeoutSec=10),
        ),
    )


PROJECT = (mcp_server(".mcp.json"), *_hooks(".github/hooks/skillrun.json"))
USER = (
    Addition(
        ".copilot/mcp-config.json",
        "member",
        ("mcpServers", "skillrun"),
        {"type": "local", **SERVER, "tools": ["*"]},
    ),
    *_hooks(".copilot/hooks/skillrun.json"),
)
NEXT = (
    "start copilot here and trust the folder",
    (
        "for the cloud agent, install skillrun in .github/workflows/copilot-setup-steps.yml;"
        " without it its hooks let pass"
    ),
)
NEXT_USER = ("restart copilot",)


def read(payload: dict[str, Any]) -> HookInput:
    """Both payload forms: camelCase, and snake_case for event names in PascalCase (also in
    `.claude/settings.json`).
    """
    tool = first_text(payload, "toolName", "tool_name")
    # An object, its JSON text, or the text of a patch.
    raw = payload.get("toolArgs", payload.get("tool_input"))
    given = parse_mapping(raw)
    if not given:
        patch = text_or_none(raw)
    else:
        patch = first_text(given, "input", "patch")
    writes = tool in _WRITERS
    return HookInput(
        cwd=text_or_none(payload.get("cwd")),
        session=first_text(payload, "sessionId", "session_id"),
        already_blocked=payload.get("stop_hook_active") is True,
        tool=tool,
        command=text_or_none(given.get("command")) if tool in _SHELLS else None,
        paths=(
            (*list_present(first_text(given, "path", "file_path")), *patched_files(patch))
            if writes
            else ()
        ),
    )


def tool_deny(reason: str) -> dict[str, Any]:
    """At the top, unlike in Claude Code."""
    return {"permissionDecision": "deny", "permissionDecisionReason": reason}
