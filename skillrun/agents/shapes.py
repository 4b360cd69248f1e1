"""The shapes that several agents share: Claude Code's hook payloads and answers, patches, an MCP
server's entry.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SERVER = {"command": "skillrun", "args": ["mcp"]}
_PATCHED = ("*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: ")


def hook_command(agent: str, event: str, program: str = "skillrun") -> str:
    """The command that an agent's file names for a hook.

    In a repository it starts the program on PATH, never a path of one machine: the file is
    committed.
    """
    return f"{program} hook {agent} {event}"


def mcp_server(path: str) -> Addition:
    """The MCP server in a file of the form `{"mcpServers": {...}}`."""
    return Addition(path, "member", ("mcpServers", "skillrun"), SERVER)


def hook_group(
    path: str, agent: str, word: str, event: str, *, timeout: int, matcher: str = ""
) -> Addition:
    """A hook in Claude Code's nested form: an event has groups, and a group has a matcher and
    handlers.
    """
    handler = {"type": "command", "command": hook_command(agent, word), "timeout": timeout}
    group: dict[str, Any] = {}
    if matcher:
        group["matcher"] = matcher
    group["hooks"] = [handler]
    return Addition(path, "element", ("hooks", event), group)


def stop_block(reason: str) -> dict[str, Any]:
    """The answer that keeps Claude Code, Codex or Copilot from ending a turn.

    They read it with exit code 0; Codex takes no other field.
    """
    return {"decision": "block", "reason": reason}


def tool_deny(reason: str) -> dict[str, Any]:
    """The answer that denies a tool call of Claude Code or Codex."""
    said = {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": reason,
    }
    return {"hookSpecificOutput": said}


def text_or_none(value: object) -> str | None:
    """The value where it is a text that says something."""
    if isinstance(value, str) and value:
        return value
    return None


def first_text(value: object, *keys: str) -> str | None:
    """The first of these members that is a text."""
    if not isinstance(value, dict):
        return None
    return next((found for key in keys if (found := text_or_none(value.get(key)))), None)


def parse_mapping(value: object) -> dict[str, Any]:
    """An object, given as one or as its JSON text; {} for anything else."""
    if isinstance(value, str):
        import json

        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(value, dict):
        return {}
    return value


def first_of(value: object) -> str | None:
    """The first text of a list of them."""
    if isinstance(value, list) and value:
        return text_or_none(value[0])
    return None


def list_present(*values: str | None) -> tuple[str, ...]:
    """Those that there are."""
    return tuple(value for value in values if value)


def patched_files(patch: str | None) -> tuple[str, ...]:
    """The files that a patch of the form `*** Update File: path` names; so does a shell command
    that holds one.
    """
    files = []
    for indented in (patch or "").splitlines():
        line = indented.strip()
        for mark in _PATCHED:
            if line.startswith(mark):
                files.append(line.removeprefix(mark))
    return tuple(files)
