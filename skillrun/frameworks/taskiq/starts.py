"""Command lines that start taskiq's worker and scheduler, and the modules that they load.

`taskiq worker shop.broker:broker shop.tasks`

Source: taskiq/cli/worker/args.py and taskiq/cli/scheduler/args.py: the modules behind the object
are imported, and with
--fs-discover those whose names match a pattern, `tasks.py` by default. LabelScheduleSource knows
those tasks alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from skillrun.frameworks.common.importing import imports
from skillrun.frameworks.known.launchers import START_FILES
from skillrun.frameworks.pieces import Rewritten
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.python import Project

_COMMAND = re.compile(
    r"\btaskiq\s+(?P<mode>worker|scheduler)\s(?P<before>[^|;&#\"'\n]*?)"
    r"(?P<object>[\w.]+:[\w.]+)(?P<modules>(?:\s+[A-Za-z_][\w.]*)*)(?P<after>[^|;&#\"'\n]*)"
)


@dataclass(frozen=True)
class Start:
    """A line, without indentation, that starts a worker or a scheduler. `modules`: those that it
    loads.
    """

    path: str
    text: str
    mode: str
    home: str  # the module of the broker, or of the scheduler
    modules: tuple[str, ...]
    discovers: bool
    command: re.Match[str]

    def starts(self, broker: str) -> bool:
        """Whether it is a worker of the broker of that module."""
        return self.mode == "worker" and self.home == broker

    @property
    def in_procfile(self) -> bool:
        """Whether the file has a line for each process."""
        return self.path.rpartition("/")[2] == "Procfile"

    def loads(self, project: Project, module: str, path: str) -> bool:
        """Whether the tasks of a module are known to what it starts."""
        start = project.locate(self.home)
        found = self.discovers and path.rpartition("/")[2] == "tasks.py"
        return (
            found or module in self.modules or (start is not None and imports(project, start, path))
        )

    def loading(self, module: str) -> Rewritten:
        """The line with one module more."""
        end = self.command.end("modules")
        return Rewritten(self.path, self.text, f"{self.text[:end]} {module}{self.text[end:]}")

    def scheduling(self, scheduler: str, modules: tuple[str, ...]) -> str:
        """Of a Procfile's line that starts a worker: one that starts a scheduler in the same
        way.
        """
        before = self.text[: self.command.start()].partition(":")[2]
        return " ".join([f"scheduler:{before}taskiq scheduler {scheduler}", *modules])


def find_starts(project: Project) -> Iterator[Start]:
    """In order of path and line; comments are left out."""
    for path in sorted(project.tree.search("taskiq", "")):
        name = path.rpartition("/")[2].lower()
        if is_aside(path) or not any(fnmatch(name, glob) for glob in START_FILES):
            continue
        for line in (project.tree.read(path) or b"").decode("utf-8", "replace").splitlines():
            found = None
            if not line.lstrip().startswith("#"):
                found = _COMMAND.search(line.strip())
            if found:
                words = found["after"].split()
                modules = (
                    *found["modules"].split(),
                    *(word for word in words if not word.startswith("-")),
                )
                discovers = not {"-fsd", "--fs-discover"}.isdisjoint(
                    [*found["before"].split(), *words]
                )
                home = found["object"].partition(":")[0]
                yield Start(path, line.strip(), found["mode"], home, modules, discovers, found)
