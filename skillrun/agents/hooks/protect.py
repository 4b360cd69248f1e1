"""What an agent may not touch: the ledger, and the hooks and gates that watch it. Specs stay
editable.

A reminder and no wall: a shell has more ways to a file than any reader of its text knows. What gets
through is found by
`skillrun ledger verify` and `skillrun verify --ci`.
"""

import os
import re

LEDGER = "use skillrun status, why, next or ledger query to read it; skillrun alone writes it"
HOOKS = "a person changes hooks, by hand or with skillrun install and uninstall"
PEOPLE = "that is for people to say: ask the user"
HOOK_FILES = (
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/hooks.json",
    ".codex/config.toml",
    ".cursor/hooks.json",
    ".github/hooks/",
    ".gemini/settings.json",
    ".gemini/config/hooks.json",
    ".agents/hooks.json",
    ".opencode/plugin/skillrun",
    ".opencode/plugins/skillrun",
    "opencode/plugins/skillrun",
    ".copilot/hooks/",
    ".skillrun/installed.json",
    ".skillrun/writing.json",
)
_FOLDERS = re.compile(
    r"(?:^|[\s/])\.(?:skillrun|claude|codex|cursor|gemini|opencode|copilot|agents|github/hooks)(?:/[^\s/]*[*?][^\s]*|/?)"
    r"(?=[\s;&|)]|$)"
)
_LEDGER_FILE = re.compile(
    r"\.skillrun/(?:ledger\.db|locks\b|l[^\s/]*[*?])|^\s*/?ledger\.db|[\s/]\.skill[^\s/]*[*?]"
)
_STATE = re.compile(r"\.local/state/skillrun\b")
_READS = frozenset(
    (
        *(
            "cat",
            "head",
            "tail",
            "less",
            "more",
            "grep",
            "rg",
            "ag",
            "ls",
            "stat",
            "wc",
            "file",
            "diff",
            "cmp",
            "jq",
        ),
        *(
            "sha256sum",
            "md5sum",
            "find",
            "tree",
            "du",
            "test",
            "[",
            "[[",
            "echo",
            "printf",
            "skillrun",
            "nl",
            "awk",
        ),
        *(
            "sed",
            "cd",
            "mkdir",
            "cp",
            "pytest",
            "ruff",
            "mypy",
            "tar",
            "rsync",
            "python",
            "python3",
            "for",
            "if",
        ),
    )
)
_GIT_READS = frozenset(
    (
        *(
            "log",
            "show",
            "diff",
            "status",
            "add",
            "commit",
            "blame",
            "ls-files",
            "ls-tree",
            "cat-file",
            "grep",
        ),
        *("rev-parse", "check-ignore"),
    )
)
_WRAPPERS = frozenset(("sudo", "time", "nice", "command", "exec", "then", "do", "else", "!"))
_NO_COVER = re.compile(r"\$\(|`|\s-(?:execdir|ok|okdir|delete)\b|\s--?(?:output|pre)\b|\s-O\b")
_IN_PLACE = re.compile(r"^\s*(?:\S+\s+)*?sed\s+(?:\S+\s+)*?-\w*i")
_CODE = re.compile(r"^\s*(?:\S+\s+)*?python[\d.]*\s+(?:-\w+\s+)*-c\b")
_WRITES = re.compile(r"(?<![0-9&])(?:[0-9]?>{1,2}\|?)\s*(\S+)|\btee\s+(?:-a\s+)?(\S+)")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^\s*\2\s*$", re.DOTALL | re.MULTILINE)
_WIPES = re.compile(r"^\s*git\s+(?:-\S+\s+(?:\S+=\S+\s+)?)*clean\b.*?\s-[a-zA-Z]*[xX]")
_STASH = re.compile(r"^\s*git\s+stash\b.*\s(?:-a|--all|-\w*a\w*)(?=\s|$)")
_CLAIM = re.compile(r"(?:^|\s)SKILLRUN_(?:ACTOR|LEDGER|STATE_DIR)=")
_SHED = re.compile(
    r"(?:^|\s)(?:unset|env\s+(?:\S+\s+)*?(?:-u\s*|--unset=?\s*))\s*(?:CLAUDECODE|CLAUDE_CODE|CODEX_|CURSOR_|GEMINI_CLI"
    r"|COPILOT_|OPENCODE|AI_AGENT)|(?:^|\s)(?:CLAUDECODE|CODEX_\w+|CURSOR_AGENT|GEMINI_CLI|COPILOT_CLI|OPENCODE)=(?=\s|$|0)"
    r"|(?:^|\s)env\s+-i\b.*skillrun"
)
_SAYS = re.compile(r"(?:^|\s|/)skillrun\s.*?\s--waive\b")
_ALLOWS = re.compile(r"(?:^|\s|/)skillrun\s+trust\b")
_UNINSTALL = re.compile(r"(?:^|\s|/)skillrun\s+uninstall\b")


def why_not(command: "str | None", paths: "tuple[str, ...]", folder: str) -> "str | None":
    """Why a tool call is denied, in one sentence with what to do instead; None where it may go on.

    `command`: the text that a shell would run. `paths`: files that the tool writes, absolute or
    relative to `folder`.
    """
    for path in paths:
        whole = os.path.normpath(os.path.join(folder, path)).replace(os.sep, "/")
        # The slash in front: a name that is looked for begins behind one.
        reason = _named_in(_normalise_path(f"/{whole}"))
        if reason:
            return reason
    if not command:
        return None
    return _about_command(command)


def _normalise_path(text: str) -> str:
    """The one spelling in which protected paths are looked for: no empty or `.` part, and, where
    one may be in it, lower case. Some file systems take no notice of case.
    """
    text = re.sub(r"/(?:\./|/)+", "/", text)
    if any(name in text.lower() for name in (".claude", ".codex", ".skillrun", ".github")):
        return text.lower()
    return text


def _named_in(text: str) -> "str | None":
    """Why a path, or a command that names one, is about something protected."""
    ledger = _LEDGER_FILE.search(text)
    if ledger:
        return f"{ledger[0].strip()} is skillrun's ledger: {LEDGER}"
    if _STATE.search(text):
        return f"the consents of skillrun are kept there: {PEOPLE}"
    hook = next((name for name in HOOK_FILES if name in text), None)
    if not hook:
        return None
    return f"{hook} holds the hooks that watch this session: {HOOKS}"


def _about_command(command: str) -> "str | None":
    """Why a shell command is denied; None where each command in it may run."""
    # What a here-document holds is data. A line that ends in a backslash goes on.
    text = _HEREDOC.sub(r"<<\2\3", command.replace("\\\n", " "))
    for part in _split_commands(text):
        reason = _about_part(part)
        if reason:
            return reason
    return None


def _split_commands(text: str) -> "list[str]":
    """The commands of a line: what stands between separators outside of quotes."""
    found, quote, start = [], "", 0
    for at, sign in enumerate(text):
        if quote:
            if sign == quote:
                quote = ""
        elif sign in "'\"":
            quote = sign
        elif sign in ";|&\n":
            found.append(text[start:at])
            start = at + 1
    parts = []
    for part in (*found, text[start:]):
        if part.strip():
            parts.append(part.strip())
    return parts


def _about_part(part: str) -> "str | None":
    """One command of a line: it may read what is protected, by a program that only reads."""
    words = _words_of_command(part)
    program = ""
    if words:
        program = words[0].rpartition("/")[2]
    if program not in ("grep", "rg", "echo"):
        reason = _about_words(part)
        if reason:
            return reason
    # `"ledger".db` is ledger.db to a shell.
    bare = _normalise_path(re.sub(r"['\"\\]", "", part))
    for name in _list_written(bare):
        reason = _named_in(name) or _about_folder(name)
        if reason:
            return reason
    if _is_message(words):
        return None
    # A folder that is left out is not touched: `tar --exclude .skillrun`.
    taken = re.sub(r"--?(?:exclude|ignore|e|not -path)[= ]\S+", "", bare)
    named = _named_in(bare) or _about_folder(taken)
    if named and not _only_reads(part, words):
        return named
    return None


def _list_written(part: str) -> "list[str]":
    """The files that a shell writes for a command: `> FILE`, `>> FILE`, `| tee FILE`."""
    written = []
    for redirected, given_to_tee in _WRITES.findall(part):
        name = redirected or given_to_tee
        if name:
            written.append(name)
    return written


def _about_words(part: str) -> "str | None":
    """What is denied whatever file it names."""
    bare = re.sub(r"['\"\\]", "", part)
    if (_WIPES.search(bare) and "-e .skillrun" not in bare) or _STASH.search(bare):
        return (
            "that would take away skillrun's ledger, which git ignores: leave out -x or -a, or add"
            " -e .skillrun"
        )
    if _CLAIM.search(part) or _SHED.search(part):
        return (
            "who calls, and where the ledger lies, are the user's to say: leave such variables"
            " alone"
        )
    if _SAYS.search(bare):
        return f"a waiver: {PEOPLE}"
    if _ALLOWS.search(bare):
        return f"what may run here, and what agents may say: {PEOPLE}"
    if _UNINSTALL.search(bare):
        return f"skillrun uninstall takes away the hooks that watch this session: {HOOKS}"
    return None


def _about_folder(text: str) -> "str | None":
    """A whole folder that holds protected files."""
    found = _FOLDERS.search(text)
    if not found:
        return None
    return f"{found[0].strip()} holds skillrun's files or an agent's hooks: {LEDGER}; {HOOKS}"


def _words_of_command(part: str) -> "list[str]":
    """The words of a command without assignments and what only starts another one."""
    words = part.split()
    while words and (
        words[0] in _WRAPPERS or re.fullmatch(r"\w+=\S*", words[0]) or words[0] == "if"
    ):
        words = words[1:]
    return words


def _is_message(words: "list[str]") -> bool:
    """Its arguments are words for people: they may name any file."""
    return words[:2] == ["git", "commit"] or words[:1] == ["gh"]


def _only_reads(part: str, words: "list[str]") -> bool:
    """Whether a command is one that reads files, and has no option by which it does more."""
    program = ""
    if words:
        program = words[0].rpartition("/")[2].lstrip("(")
    if _NO_COVER.search(part) or _IN_PLACE.search(part) or _CODE.search(part):
        return False
    if program == "git":
        return _git_command(words) in _GIT_READS
    if program in ("cp", "rsync"):
        return _named_in(_normalise_path(words[-1])) is None and _about_folder(words[-1]) is None
    return program in _READS


def _git_command(words: "list[str]") -> str:
    """`git -C folder -c name=value diff` -> "diff"."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        if rest[0] in ("-C", "-c"):
            rest = rest[2:]
        else:
            rest = rest[1:]
    if not rest:
        return ""
    return rest[0]
