"""The settings of arq's workers, and the entries of a handler in them.

Sources: arq/worker.py (`Worker`, `func`, `get_kwargs`: a class's own attributes count, inherited
ones do not), arq/cron.py (`cron`).
"""

from __future__ import annotations

from skillrun.frameworks.common import listed
from skillrun.frameworks.common.listed import Entry, Manner
from skillrun.repo.python import Definition, Project


def _name_entry(kind: str, function: str) -> str:
    if kind == "cron":
        return f"cron:{function}"
    return function


MANNER = Manner(
    library="arq",
    makers=(
        "arq.worker.Worker",
        "arq.Worker",
        "arq.worker.create_worker",
        "arq.worker.run_worker",
        "arq.run_worker",
    ),
    positions=("functions",),
    wrappers=("arq.worker.func", "arq.func", "arq.cron.cron", "arq.cron"),
    wrapped="coroutine",
    name_entry=_name_entry,
)


def find_entries(project: Project, handler: Definition) -> tuple[Entry, ...]:
    """Where the handler is listed."""
    return listed.find_entries(project, MANNER, handler)
