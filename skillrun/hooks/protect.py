"""What an agent may not touch: the ledger, and the hooks and gates that watch it. Specs stay editable.

A reminder and no wall: a shell has more ways to a file than any reader of its text knows. What gets through is found by
`skillrun ledger verify` and `skillrun verify --ci`.
"""

import os
import re

LEDGER = "use skillrun status, why, next or ledger query to read it; skillrun alone writes it"
_FOLDER = f".skillrun holds skillrun's ledger: {LEDGER}"
HOOKS = "a person changes hooks, by hand or with skillrun install and uninstall"
HOOK_FILES = (
    ".claude/settings.json", ".claude/settings.local.json", ".codex/hooks.json", ".codex/config.toml",
    ".cursor/hooks.json", ".github/hooks/", ".gemini/settings.json", ".agents/hooks.json",
    ".opencode/plugin/skillrun", ".opencode/plugins/skillrun",
    ".skillrun/installed.json",
)  # fmt: skip
_LEDGER_FILE = re.compile(r"\.skillrun/(?:ledger\.db|locks\b)|\bledger\.db\b")
_WHOLE_FOLDER = re.compile(r"(?:^|[\s\"'=/])\.skillrun/?(?=[\s\"';&|)*]|$)")
_READS = frozenset(
    (
        *("cat", "head", "tail", "less", "more", "grep", "rg", "ag", "ls", "stat", "wc", "file", "diff", "cmp", "jq"),
        *("sha256sum", "md5sum", "find", "tree", "du", "test", "[", "echo", "printf", "skillrun"),
    )
)
_GIT_READS = frozenset(
    ("log", "show", "diff", "status", "add", "commit", "blame", "ls-files", "grep", "rev-parse", "check-ignore")
)
_SEPARATORS = re.compile(r"\|\||&&|[;|&\n]")
_WRITES = re.compile(r"(?<![0-9&])(?:[0-9]?>{1,2}\|?)\s*(\S+)|\btee\s+(?:-a\s+)?(\S+)")
_WIPES = re.compile(r"\bgit\s+(?:-\S+\s+(?:\S+=\S+\s+)?)*clean\b[^;&|\n]*\s-\S*[xX]")
_CLAIM = re.compile(r"\bSKILLRUN_(?:ACTOR|LEDGER|STATE_DIR)=")
_UNINSTALL = re.compile(r"\bskillrun\s+uninstall\b")


def why_not(command: "str | None", paths: "tuple[str, ...]", folder: str) -> "str | None":
    """Why a tool call is denied, in one sentence with what to do instead; None where it may go on.

    `command`: the text that a shell would run. `paths`: files that the tool writes, absolute or relative to `folder`.
    """
    for path in paths:
        reason = _named_in("/" + os.path.normpath(os.path.join(folder, path)).replace(os.sep, "/"))
        if reason:
            return reason
    return _about_command(command) if command else None


def _named_in(text: str) -> "str | None":
    """Why a path, or a command that names one, is about something protected."""
    ledger = _LEDGER_FILE.search(text)
    if ledger:
        return f"{ledger[0]} is skillrun's ledger: {LEDGER}"
    hook = next((name for name in HOOK_FILES if name in text), None)
    return f"{hook} holds the hooks that watch this session: {HOOKS}" if hook else None


def _about_command(command: str) -> "str | None":
    if _WIPES.search(command):
        return "git clean -x would delete skillrun's ledger, which git ignores: leave out -x, or add -e .skillrun"
    if _CLAIM.search(command):
        return "SKILLRUN_ACTOR, SKILLRUN_LEDGER and SKILLRUN_STATE_DIR are the user's to set: leave them out"
    if _UNINSTALL.search(command):
        return f"skillrun uninstall takes away the hooks that watch this session: {HOOKS}"
    for part in _SEPARATORS.split(command):
        reason = _about_part(part)
        if reason:
            return reason
    return None


def _about_part(part: str) -> "str | None":
    """One command of a line: it may read what is protected, by a program that only reads."""
    named = _named_in(part) or (_FOLDER if _WHOLE_FOLDER.search(part) else None)
    if named is None:
        return None
    written = [name for pair in _WRITES.findall(part) for name in pair if name]
    touched = any(_named_in(name) or _WHOLE_FOLDER.search(name) for name in written)
    return named if touched or not _only_reads(part) else None


def _only_reads(part: str) -> bool:
    words = [word for word in part.split() if "=" not in word.split("/")[0]]
    program = words[0].rpartition("/")[2] if words else ""
    if program == "git":
        return next((word for word in words[1:] if not word.startswith("-")), "") in _GIT_READS
    if program == "find" and ("-delete" in words or "-exec" in words):
        return False
    return program in _READS
