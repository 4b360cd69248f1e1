"""The shell scripts of the repository that a command line runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.repo.declared import text_of

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# `./scripts/test.sh`, `bash bin/fresh`: a path, or a name that says that it is a shell's.
_PATH = re.compile(r"(?<![\w./-])(?:\./)?((?:[\w.-]+/)+[\w.-]+|[\w-]+\.(?:sh|bash))(?![\w./-])")
# Scripts that call scripts.
_DEEP = 3


def read_called(tree: Tree, runs: str) -> str:
    """The texts of the scripts that some lines call, and of those that these call."""
    found: dict[str, str] = {}
    waiting = [(runs, _DEEP)]
    while waiting:
        lines, depth = waiting.pop()
        for path in _PATH.findall(lines):
            text = _read_script(tree, path)
            if text and path not in found:
                found[path] = text
                if depth > 1:
                    waiting.append((text, depth - 1))
    return "\n".join(found.values())


def _read_script(tree: Tree, path: str) -> str:
    """The text of a shell script; "" of anything else."""
    text = text_of(tree, path) or ""
    is_script = path.endswith((".sh", ".bash")) or re.match(r"#!.*\b(?:ba|da|z)?sh\b", text)
    if not is_script:
        return ""
    return text
