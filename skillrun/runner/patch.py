"""A planned change as a diff that git can apply, and in a few words."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from skillrun.core.tally import count_things
from skillrun.runner.changes import Change

_NEW_MODE = "100644"
_QUOTED = re.compile(r'["\\\x00-\x1f\x7f]')
_HEADING = re.compile(r"#{1,6} .+")
_NAMES = 8


def git_diff(change: Change) -> str:
    """One file as `git apply` takes it; "" where nothing changes. Carriage returns and missing last
    newlines stay.
    """
    if change.before == change.after:
        return ""
    new = change.before is None
    head = [f"diff --git {_quote_name('a', change.path)} {_quote_name('b', change.path)}\n"]
    if new:
        head += [f"new file mode {_NEW_MODE}\n"]
        before = "/dev/null"
    else:
        before = _end_name(_quote_name("a", change.path))
    hunks = difflib.unified_diff(
        _split_lines(change.before or ""),
        _split_lines(change.after),
        before,
        _end_name(_quote_name("b", change.path)),
    )
    return "".join([*head, *map(_end_line, hunks)])


def describe_change(change: Change) -> str:
    """ "+ shop/tasks.py  send_receipt, enqueue_send_receipt": what comes into the file; "~" for one
    that is there.
    """
    sign = "~"
    if change.before is None:
        sign = "+"
    names = list(_list_added(change))
    more = ""
    if len(names) > _NAMES:
        more = f" and {len(names) - _NAMES} more"
    return f"{sign} {change.path}  {', '.join(names[:_NAMES]) or _count_lines(change)}{more}"


def _list_added(change: Change) -> Iterator[str]:
    """The names, or the headings of a Markdown file, that are new."""
    if change.path.endswith(".md"):
        read = _list_headings
    else:
        read = _list_defined
    known = set(read(change.before or ""))
    for name in dict.fromkeys(read(change.after)):
        if name not in known:
            yield name


def _list_headings(text: str) -> list[str]:
    return _HEADING.findall(text)


def _list_defined(text: str) -> list[str]:
    """What a Python module binds at its top, imports aside; nothing for what is no Python."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return []
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if isinstance(node, ast.Assign):
                targets = node.targets
            else:
                targets = [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found.append(target.id)
    return found


def _count_lines(change: Change) -> str:
    before, after = _split_lines(change.before or ""), _split_lines(change.after)
    added = len(after)
    if before:
        added = sum(line.startswith("+ ") for line in difflib.ndiff(before, after))
    return count_things(added, "line")


def _split_lines(text: str) -> list[str]:
    r"""Lines as git counts them: `\n` alone ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _end_line(line: str) -> str:
    if line.endswith("\n"):
        return line
    return f"{line}\n\\ No newline at end of file\n"


def _quote_name(side: str, path: str) -> str:
    """As git writes names: quoted where a character would end the line or the name."""
    name = f"{side}/{path}"
    if not _QUOTED.search(name):
        return name
    return '"' + _QUOTED.sub(lambda found: f"\\{ord(found[0]):03o}", name) + '"'


def _end_name(name: str) -> str:
    """A tab behind a name with spaces, or it would end at the first."""
    if " " in name:
        return f"{name}\t"
    return name
