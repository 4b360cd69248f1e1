"""Hook payloads as the agents' documentation gives them, and what skillrun must read in them.

Each case: agent, payload, what is read. Sources stand in each agent's module; the examples here are
from

- Claude Code: https://code.claude.com/docs/en/hooks (Stop input; PreToolUse input of Bash, Write,
  Edit, Read)
- Codex: openai/codex codex-rs/hooks/schema/generated/{stop,pre-tool-use}.command.input.schema.json;
  the patch of
  apply_patch is its `command`, https://developers.openai.com/codex/hooks
- Cursor: https://cursor.com/docs/hooks (common fields, stop, preToolUse)
- Copilot: github/docs content/copilot/reference/hooks-reference.md (camelCase, and the VS Code
  compatible form)
- Gemini CLI: google-gemini/gemini-cli docs/hooks/reference.md
- Antigravity: https://antigravity.google/docs/hooks; agy's payloads as others have recorded them
- OpenCode: our own plugin
"""

from __future__ import annotations

from typing import Any

_CLAUDE = {
    "session_id": "abc123",
    "transcript_path": "/home/u/.claude/projects/x/t.jsonl",
    "cwd": "/w/shop",
    "permission_mode": "default",
}
_CODEX = {
    "session_id": "s1",
    "cwd": "/w/shop",
    "model": "m",
    "permission_mode": "default",
    "transcript_path": None,
}
_CURSOR = {
    "conversation_id": "c1",
    "generation_id": "g1",
    "model": "m",
    "cursor_version": "3.7.21",
    "workspace_roots": ["/w/shop"],
    "user_email": None,
    "transcript_path": None,
}
_GEMINI = {
    "session_id": "s1",
    "transcript_path": "/t.json",
    "cwd": "/w/shop",
    "timestamp": "2026-11-25T10:00:00Z",
}
_AGY = {
    "conversationId": "6d62b653",
    "workspacePaths": ["/w/shop"],
    "transcriptPath": "/t.jsonl",
    "artifactDirectoryPath": "/a",
    "modelName": "m",
}
_PATCH = (
    "*** Begin Patch\n*** Update File: shop/tasks.py\n@@\n-a\n+b\n*** Add File: docs/x.md\n+x\n***"
    " End Patch"
)

READ: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "claude stop": (
        "claude",
        {
            **_CLAUDE,
            "hook_event_name": "Stop",
            "stop_hook_active": True,
            "last_assistant_message": "done",
        },
        {"cwd": "/w/shop", "session": "abc123", "already_blocked": True},
    ),
    "claude stop for the first time": (
        "claude",
        {**_CLAUDE, "hook_event_name": "Stop", "stop_hook_active": False},
        {"cwd": "/w/shop", "session": "abc123"},
    ),
    "claude bash": (
        "claude",
        {
            **_CLAUDE,
            "hook_event_name": "PreToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": "npm test"},
        },
        {"cwd": "/w/shop", "session": "abc123", "tool": "Bash", "command": "npm test"},
    ),
    "claude write": (
        "claude",
        {
            **_CLAUDE,
            "tool_name": "Write",
            "tool_input": {"file_path": "/w/shop/a.py", "content": "x"},
        },
        {"cwd": "/w/shop", "session": "abc123", "tool": "Write", "paths": ("/w/shop/a.py",)},
    ),
    "claude notebook": (
        "claude",
        {
            **_CLAUDE,
            "tool_name": "NotebookEdit",
            "tool_input": {"notebook_path": "/w/shop/n.ipynb"},
        },
        {
            "cwd": "/w/shop",
            "session": "abc123",
            "tool": "NotebookEdit",
            "paths": ("/w/shop/n.ipynb",),
        },
    ),
    "claude read writes nothing": (
        "claude",
        {**_CLAUDE, "tool_name": "Read", "tool_input": {"file_path": "/w/shop/a.py"}},
        {"cwd": "/w/shop", "session": "abc123", "tool": "Read"},
    ),
    "codex stop": (
        "codex",
        {
            **_CODEX,
            "hook_event_name": "Stop",
            "turn_id": "t",
            "stop_hook_active": True,
            "last_assistant_message": None,
        },
        {"cwd": "/w/shop", "session": "s1", "already_blocked": True},
    ),
    "codex bash": (
        "codex",
        {**_CODEX, "tool_name": "Bash", "tool_use_id": "u", "tool_input": {"command": "ls"}},
        {"cwd": "/w/shop", "session": "s1", "tool": "Bash", "command": "ls"},
    ),
    "codex apply_patch": (
        "codex",
        {**_CODEX, "tool_name": "apply_patch", "tool_input": {"command": _PATCH}},
        {
            "cwd": "/w/shop",
            "session": "s1",
            "tool": "apply_patch",
            "paths": ("shop/tasks.py", "docs/x.md"),
        },
    ),
    "codex patch inside a shell": (
        "codex",
        {
            **_CODEX,
            "tool_name": "Bash",
            "tool_input": {"command": f"apply_patch <<'EOF'\n{_PATCH}\nEOF"},
        },
        {
            "cwd": "/w/shop",
            "session": "s1",
            "tool": "Bash",
            "command": f"apply_patch <<'EOF'\n{_PATCH}\nEOF",
            "paths": ("shop/tasks.py", "docs/x.md"),
        },
    ),
    "cursor stop": (
        "cursor",
        {**_CURSOR, "hook_event_name": "stop", "status": "completed", "loop_count": 2},
        {"cwd": "/w/shop", "session": "c1", "already_blocked": True},
    ),
    "cursor stop for the first time": (
        "cursor",
        {**_CURSOR, "hook_event_name": "stop", "status": "completed", "loop_count": 0},
        {"cwd": "/w/shop", "session": "c1"},
    ),
    "cursor shell": (
        "cursor",
        {**_CURSOR, "cwd": "/w/shop/sub", "tool_name": "Shell", "tool_input": {"command": "rm x"}},
        {"cwd": "/w/shop/sub", "session": "c1", "tool": "Shell", "command": "rm x"},
    ),
    "cursor write": (
        "cursor",
        {**_CURSOR, "tool_name": "Write", "tool_input": {"path": "/w/shop/a.py", "contents": ""}},
        {"cwd": "/w/shop", "session": "c1", "tool": "Write", "paths": ("/w/shop/a.py",)},
    ),
    "copilot stop": (
        "copilot",
        {
            "sessionId": "s",
            "timestamp": 1,
            "cwd": "/w/shop",
            "stopReason": "end_turn",
            "stop_hook_active": True,
        },
        {"cwd": "/w/shop", "session": "s", "already_blocked": True},
    ),
    "copilot stop as in VS Code": (
        "copilot",
        {"hook_event_name": "Stop", "session_id": "s", "cwd": "/w/shop", "stop_hook_active": True},
        {"cwd": "/w/shop", "session": "s", "already_blocked": True},
    ),
    "copilot bash, arguments as text": (
        "copilot",
        {
            "sessionId": "s",
            "cwd": "/w/shop",
            "toolName": "bash",
            "toolArgs": '{"command":"git status"}',
        },
        {"cwd": "/w/shop", "session": "s", "tool": "bash", "command": "git status"},
    ),
    "copilot create": (
        "copilot",
        {
            "sessionId": "s",
            "cwd": "/w/shop",
            "toolName": "create",
            "toolArgs": {"path": "/w/shop/a.py"},
        },
        {"cwd": "/w/shop", "session": "s", "tool": "create", "paths": ("/w/shop/a.py",)},
    ),
    "copilot apply_patch": (
        "copilot",
        {"sessionId": "s", "cwd": "/w/shop", "toolName": "apply_patch", "toolArgs": _PATCH},
        {
            "cwd": "/w/shop",
            "session": "s",
            "tool": "apply_patch",
            "paths": ("shop/tasks.py", "docs/x.md"),
        },
    ),
    "copilot edit as in VS Code": (
        "copilot",
        {
            "session_id": "s",
            "cwd": "/w/shop",
            "tool_name": "Edit",
            "tool_input": {"file_path": "/w/shop/a.py"},
        },
        {"cwd": "/w/shop", "session": "s", "tool": "Edit", "paths": ("/w/shop/a.py",)},
    ),
    "copilot view writes nothing": (
        "copilot",
        {
            "sessionId": "s",
            "cwd": "/w/shop",
            "toolName": "view",
            "toolArgs": {"path": "/w/shop/a.py"},
        },
        {"cwd": "/w/shop", "session": "s", "tool": "view"},
    ),
    "gemini stop": (
        "gemini",
        {
            **_GEMINI,
            "hook_event_name": "AfterAgent",
            "prompt": "p",
            "prompt_response": "r",
            "stop_hook_active": True,
        },
        {"cwd": "/w/shop", "session": "s1", "already_blocked": True},
    ),
    "gemini shell": (
        "gemini",
        {**_GEMINI, "tool_name": "run_shell_command", "tool_input": {"command": "ls"}},
        {"cwd": "/w/shop", "session": "s1", "tool": "run_shell_command", "command": "ls"},
    ),
    "gemini replace": (
        "gemini",
        {
            **_GEMINI,
            "tool_name": "replace",
            "tool_input": {"file_path": "/w/shop/a.py", "old_string": "a"},
        },
        {"cwd": "/w/shop", "session": "s1", "tool": "replace", "paths": ("/w/shop/a.py",)},
    ),
    "antigravity stop": (
        "antigravity",
        {**_AGY, "executionNum": 4, "terminationReason": "model_stop", "fullyIdle": True},
        {"cwd": "/w/shop", "session": "6d62b653"},
    ),
    "antigravity stop with work behind it": (
        "antigravity",
        {**_AGY, "executionNum": 4, "terminationReason": "model_stop", "fullyIdle": False},
        {"cwd": "/w/shop", "session": "6d62b653", "already_blocked": True},
    ),
    "antigravity command": (
        "antigravity",
        {
            **_AGY,
            "stepIdx": 19,
            "toolCall": {"name": "run_command", "args": {"CommandLine": "npm test"}},
        },
        {"cwd": "/w/shop", "session": "6d62b653", "tool": "run_command", "command": "npm test"},
    ),
    "antigravity write": (
        "antigravity",
        {**_AGY, "toolCall": {"name": "write_to_file", "args": {"TargetFile": "/w/shop/a.py"}}},
        {
            "cwd": "/w/shop",
            "session": "6d62b653",
            "tool": "write_to_file",
            "paths": ("/w/shop/a.py",),
        },
    ),
    "opencode bash": (
        "opencode",
        {"cwd": "/w/shop", "session": "ses", "tool": "bash", "args": {"command": "ls"}},
        {"cwd": "/w/shop", "session": "ses", "tool": "bash", "command": "ls"},
    ),
    "opencode edit": (
        "opencode",
        {"cwd": "/w/shop", "session": "ses", "tool": "edit", "args": {"filePath": "/w/shop/a.py"}},
        {"cwd": "/w/shop", "session": "ses", "tool": "edit", "paths": ("/w/shop/a.py",)},
    ),
}

_DENY = {
    "hookEventName": "PreToolUse",
    "permissionDecision": "deny",
    "permissionDecisionReason": "because",
}
STOP_BLOCK: dict[str, dict[str, Any]] = {
    "claude": {"decision": "block", "reason": "because"},
    "codex": {"decision": "block", "reason": "because"},
    "cursor": {"followup_message": "because"},
    "copilot": {"decision": "block", "reason": "because"},
    "gemini": {"decision": "deny", "reason": "because"},
    "antigravity": {"decision": "continue", "reason": "because"},
}
TOOL_DENY: dict[str, dict[str, Any]] = {
    "claude": {"hookSpecificOutput": _DENY},
    "codex": {"hookSpecificOutput": _DENY},
    "cursor": {"permission": "deny", "user_message": "because", "agent_message": "because"},
    "copilot": {"permissionDecision": "deny", "permissionDecisionReason": "because"},
    "gemini": {"decision": "deny", "reason": "because"},
    "antigravity": {"decision": "deny", "reason": "because"},
    "opencode": {"deny": "because"},
}
