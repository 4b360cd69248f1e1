"""OpenCode: a plugin of our own that asks `skillrun hook` before each tool; the MCP server in
`opencode.json`.

It has no hook for the end of a turn: `session.idle` comes when it has ended.
"""

from __future__ import annotations

from skillrun.agents.interface import Addition, HookInput
from skillrun.agents.shapes import (
    first_text,
    hook_command,
    list_present,
    parse_mapping,
    patched_files,
    text_or_none,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ID = "opencode"
NAME = "OpenCode"
PROGRAMS = ("opencode",)
CHECKED = "OpenCode 1.18.33 run against a stand-in model; sst/opencode 31e22f6"
SOURCE = "https://opencode.ai/docs/plugins"
UNVERIFIED = "the plugin interface of version 2"
EVENTS = {"pre-tool": "tool.execute.before"}
ALLOW = None
SKILLS = (".agents/skills",)
_SHELLS = ("bash",)
_WRITERS = ("apply_patch", "edit", "multiedit", "patch", "write")
PLUGIN = """\
// Written by `skillrun install opencode`: asks skillrun before each tool that runs a command or writes a file.
// Where skillrun is missing or fails, the tool goes on.
import { spawnSync } from "node:child_process"

const TOOLS = %s

export const Skillrun = async ({ directory }) => ({
  "tool.execute.before": async (input, output) => {
    if (!TOOLS.includes(input.tool)) return
    const payload = { cwd: directory, session: input.sessionID, tool: input.tool, args: output.args }
    const asked = spawnSync("skillrun", %s, {
      input: JSON.stringify(payload),
      encoding: "utf8",
      timeout: 10000,
    })
    let answer = {}
    try {
      answer = JSON.parse(asked.stdout)
    } catch {}
    if (answer && answer.deny) throw new Error(answer.deny)
  },
})
"""
_TOOLS = "[" + ", ".join(f'"{name}"' for name in (*_SHELLS, *_WRITERS)) + "]"
_WORDS = "[" + ", ".join(f'"{word}"' for word in hook_command(ID, "pre-tool").split()[1:]) + "]"
_SERVER = {"type": "local", "command": ["skillrun", "mcp"], "enabled": True}


def _additions(config: str, plugin: str) -> tuple[Addition, ...]:
    return (
        Addition(config, "member", ("mcp", "skillrun"), _SERVER),
        Addition(plugin, "file", (), PLUGIN % (_TOOLS, _WORDS)),
    )


PROJECT = _additions("opencode.json", ".opencode/plugins/skillrun.js")
USER = _additions(".config/opencode/opencode.json", ".config/opencode/plugins/skillrun.js")
NEXT = (
    "restart opencode; it has no hook for the end of a turn, so nothing keeps it from ending early",
)
NEXT_USER = NEXT


def read(payload: dict[str, Any]) -> HookInput:
    """What our own plugin sends: cwd, session, tool, args."""
    tool, given = text_or_none(payload.get("tool")), parse_mapping(payload.get("args"))
    paths = (
        *list_present(text_or_none(given.get("filePath"))),
        *patched_files(first_text(given, "patchText", "patch", "input")),
    )
    return HookInput(
        cwd=text_or_none(payload.get("cwd")),
        session=text_or_none(payload.get("session")),
        tool=tool,
        command=text_or_none(given.get("command")) if tool in _SHELLS else None,
        paths=paths if tool in _WRITERS else (),
    )


def tool_deny(reason: str) -> dict[str, Any]:
    """What our own plugin throws as an error."""
    return {"deny": reason}


# No event asks for it.
stop_block = tool_deny
