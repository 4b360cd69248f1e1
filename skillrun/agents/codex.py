"""Codex: hooks in `.codex/hooks.json`, the MCP server in `.codex/config.toml`.

Codex skips a hook until a person has trusted exactly this definition (`/hooks`), and the project
with it. It refuses unknown members of the answers, an empty reason, and a `hooks.json` with other
members than `description` and `hooks`.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition, HookInput
from skillrun.agents.shapes import hook_group, parse_mapping, patched_files, text_or_none
from skillrun.agents.shapes import stop_block as stop_block
from skillrun.agents.shapes import tool_deny as tool_deny

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "codex"
NAME = "Codex"
PROGRAMS = ("codex",)
CHECKED = "codex-cli 0.169.0 run against a stand-in model; documentation of 2026-10-04"
SOURCE = "https://developers.openai.com/codex/hooks; openai/codex codex-rs/hooks/schema/generated"
UNVERIFIED = "the form of its trust records is not documented, it was seen with codex-cli 0.169.0"
EVENTS = {"stop": "Stop", "pre-tool": "PreToolUse"}
# A Stop hook that ends with 0 must print JSON.
ALLOW: dict[str, Any] = {}
SKILLS = (".agents/skills",)
HOOKS_FILE = ".codex/hooks.json"
PROJECT = (
    Addition(
        ".codex/config.toml",
        "table",
        ("mcp_servers", "skillrun"),
        'command = "skillrun"\nargs = ["mcp"]\n',
    ),
    hook_group(HOOKS_FILE, ID, "stop", "Stop", timeout=120),
    hook_group(HOOKS_FILE, ID, "pre-tool", "PreToolUse", timeout=10, matcher="Bash|apply_patch"),
)
USER = PROJECT
NEXT = (
    (
        "writing the hooks enables nothing: open codex here, trust the project, type /hooks and"
        " trust both of skillrun"
    ),
    "where nobody can (CI), after reading them: codex exec --dangerously-bypass-hook-trust",
)
NEXT_USER = (
    "writing the hooks enables nothing: open codex, type /hooks and trust both of skillrun",
)


def read(payload: dict[str, Any]) -> HookInput:
    """The tool is `Bash` (a shell command) or `apply_patch` (`command` is the patch); a command may
    patch, too.
    """
    tool = text_or_none(payload.get("tool_name"))
    command = text_or_none(parse_mapping(payload.get("tool_input")).get("command"))
    return HookInput(
        cwd=text_or_none(payload.get("cwd")),
        session=text_or_none(payload.get("session_id")),
        already_blocked=payload.get("stop_hook_active") is True,
        tool=tool,
        command=command if tool == "Bash" else None,
        paths=patched_files(command),
    )
