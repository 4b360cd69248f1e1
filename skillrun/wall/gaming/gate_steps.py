"""Lines of a pipeline by which the skillrun that runs is another one, or compares with another
base.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A ref that is compared with is fetched, and never set by hand.
_GIT_OPTIONS = r"\bgit\s+(?:-\S+\s+(?:[\w./]+\s+)?)*"
_MOVES = re.compile(
    _GIT_OPTIONS + r"(?:update-ref\b|symbolic-ref\s+(?!-q|--short)\S+\s+\S|replace\b|"
    r"branch\s+(?:\S+\s+)*(?:-f|--force|-[MC])\b|"
    r"tag\s+(?:\S+\s+)*(?:-f|--force)\b|"
    r"checkout\s+(?:\S+\s+)*-B\b|switch\s+(?:\S+\s+)*-C\b|"
    r"remote\s+set-url\b|config\s+(?:\S+\s+)*(?:remote|url)\.)"
)
_FETCHES_INTO = re.compile(
    _GIT_OPTIONS + r"(?:fetch|pull)\s+.*?[\"']?(?P<ref>\+?[^\s:\"']+:[^\s\"']+)"
)
# `main:refs/remotes/origin/main`, and the same branch on both sides, is what a fetch does anyway.
_SAME_BRANCH = re.compile(
    r"\+?(?:refs/heads/)?(?P<name>[^:]+):(?:refs/remotes/)?(?:origin/|refs/heads/)?(?P=name)$"
)
# A program of the repository that is found before the installed one.
_HERE = r"(?:\$\{?PWD\}?|\$\(pwd\)|\$\{?GITHUB_WORKSPACE\}?|\$\{\{\s*github\.workspace\s*\}\}|\.)"
_PATH_FILE = re.compile(r"(?P<what>.*?)>>?\s*[\"']?\$\{?GITHUB_PATH\b")
_PATH_SET = re.compile(r"\bPATH\s*[=:]\s*[\"']?(?P<first>[^:\s\"']+)")
_ALIAS = re.compile(r"\balias\s+(?:-\w+\s+)*skillrun=|\bskillrun\s*\(\)|\bfunction\s+skillrun\b")
_REPLACED = re.compile(
    r"\b(?:cp|mv|ln|install\s+-|tee)\s*.*\bskillrun[\"']?\s*$|>\s*\S*/bin/skillrun\b"
)
_PYTHONPATH = re.compile(rf"\bPYTHONPATH\s*[=:]\s*[\"']?(?:{_HERE}|[\w-])")
_OWN_ENVIRONMENT = re.compile(r"(?:^|/)\.?venv/bin\b|node_modules/\.bin")
_RELATIVE = re.compile(rf"[\"']?(?:{_HERE}(?:/|$)|(?![/~$])[\w.-]+(?:/|$))")
_COMMENT = re.compile(r"[\s-]*(?:run:\s*)?#")
_ECHO = re.compile(r"^\W*(?:run:\s*)?(?:echo|printf(?:\s+'%s\\n')?)\s+")

_SOURCE = re.compile(
    r"(?P<source>(?:git\+)?(?:https?|ssh|file)://[^\s\"'#]*skillrun[^\s\"']*|"
    r"(?<![\w./-])\.{0,2}/[^\s\"']*skillrun[^\s\"']*|"
    r"\bskillrun(?:-cli)?(?:\[[^\]]*\])?[=~<>!]=?[^\s\"']*|\bskillrun-cli\b)"
)
_INSTALL = re.compile(r"\b(?:pip|pipx|uv|uvx)\b.*\b(?:install|run|add|sync)\b|\buvx\b")
_USES = re.compile(r"\buses:\s*[\"']?(?P<source>[^\s\"'@]*skillrun[^\s\"'@]*@[^\s\"']+)")


def find_moved(line: str) -> str | None:
    """What a line does to the base, or to which program is called; None where it does neither."""
    if _COMMENT.match(line):
        return None
    fetched = _FETCHES_INTO.search(line)
    if _MOVES.search(line):
        return "what skillrun compares with is set by hand"
    if fetched and not _SAME_BRANCH.match(fetched["ref"].removeprefix("+")):
        return "what skillrun compares with is set by hand"
    if _ALIAS.search(line) or _REPLACED.search(line):
        return "the name skillrun stands for another program"
    if _PYTHONPATH.search(line):
        return "modules of the repository come before those of skillrun"
    if _puts_first(line):
        return "programs of the repository come before the installed ones"
    return None


def _puts_first(line: str) -> bool:
    added = _PATH_FILE.search(line)
    if added:
        return _is_of_repository(_ECHO.sub("", added["what"].strip()).strip())
    assigned = _PATH_SET.search(line)
    return assigned is not None and _is_of_repository(assigned["first"])


def _is_of_repository(folder: str) -> bool:
    """The environment that the pipeline itself makes in the repository is none of its files."""
    return bool(_RELATIVE.match(folder.strip("\"'"))) and not _OWN_ENVIRONMENT.search(folder)


def list_sources(text: str) -> Iterator[tuple[int, str]]:
    """(line, what is installed) of each line that says where skillrun comes from."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        found = _USES.search(line)
        if found is None and _INSTALL.search(line):
            found = _SOURCE.search(line)
        if found:
            yield number, found["source"]


def is_same_place(one: str, other: str) -> bool:
    """Another commit of one repository is a newer skillrun; another address is another program."""
    is_pinned = re.search(r"@[0-9a-f]{40}$|#sha256=[0-9a-f]{64}$|[=]=[\w.]+$", other) is not None
    return is_pinned and _place(one) == _place(other)


def _place(source: str) -> str:
    return re.sub(r"@[^/@]+$|#.*$|[=~<>!]=?[\w.*]+$", "", source)
