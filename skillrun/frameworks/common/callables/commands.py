"""Which command lines of the repository start a file that runs a plain callable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrun.frameworks.common.callables.starts import (
    Start,
    find_starts,
    is_start_file,
    resolve,
    timer,
    with_timers,
)
from skillrun.repo.places import is_aside, is_vendored
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.frameworks.common.callables.callers import Reach
    from skillrun.repo.python import Project


def starts_of(project: Project, reach: Reach) -> tuple[Start, ...]:
    """The commands that start a file which runs the handler."""
    consoles = _find_console_scripts(project, reach)
    paths: set[str] = set()
    for word in {_name_command(path) for path in reach.entries} | set(consoles):
        paths |= set(filter(is_start_file, project.tree.search(word, "")))
    found: list[Start] = []
    for path in sorted(paths):
        if not is_vendored(path):
            found += find_starts(path, _read_text(project, path))
    kept = []
    for start in with_timers(found, _find_timers(project)):
        leads_here = resolve(start, reach.entries) or start.name in consoles
        if leads_here and not _leads_elsewhere(project, start, reach, consoles):
            kept.append(start)
    return tuple(kept)


def _find_timers(project: Project) -> dict[str, str]:
    """What systemd's timers start, and when."""
    found = []
    for path in project.tree.match("**/*.timer"):
        read = timer(path, _read_text(project, path))
        if read is not None:
            found.append(read)
    return dict(found)


def _leads_elsewhere(
    project: Project, start: Start, reach: Reach, consoles: dict[str, Place]
) -> bool:
    """The command means another file that has the same name."""
    if start.kind == "console" and start.name in consoles:
        return False
    entry = resolve(start, reach.entries)
    word = _name_command(entry or "")
    named = (*project.tree.match(f"**/{word}.py"), *project.tree.match(f"**/{word}/__main__.py"))
    return resolve(start, [path for path in named if not is_aside(path)]) not in (entry, None)


def _name_command(path: str) -> str:
    """The last word of a command that starts a file."""
    folder, _, name = path.rpartition("/")
    if name == "__main__.py":
        return folder.rpartition("/")[2]
    return name.removesuffix(".py")


def _read_text(project: Project, path: str) -> str:
    return (project.tree.read(path) or b"").decode("utf-8", "replace")


def _find_console_scripts(project: Project, reach: Reach) -> dict[str, Place]:
    """Console scripts of pyproject.toml and setup.cfg that lead to the handler: `sweep =
    "shop.sweep:main"`.
    """
    found = {}
    for function in reach.functions:
        written = re.compile(
            rf"^\s*[\"']?([\w.-]+)[\"']?\s*=\s*[\"']?{re.escape(function.import_path)}\b"
        )
        for path in (*project.tree.match("pyproject.toml"), *project.tree.match("setup.cfg")):
            for number, line in enumerate(_read_text(project, path).splitlines(), 1):
                if match := written.match(line):
                    found[match[1]] = Place(path, number, line.strip())
    return found
