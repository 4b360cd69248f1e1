"""The program that judges: loaded before anything of the repository runs, and found again in its
files.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import skillrun
from skillrun.core.resources import resource

# What a verification judges and says by. The rest of the program is asked nothing by then.
_JUDGING = (
    "wall",
    "skills",
    "runner",
    "contract",
    "repo",
    "validations",
    "proof",
    "ledger",
    "reports",
)
_ALONE = (
    "skillrun.core.tally",
    "skillrun.core.masking",
    "skillrun.core.text",
    "skillrun.core.opening",
    "skillrun.core.actor",
)
# Programs for the target's interpreter, and the text of one: they are no modules of this process.
_ELSEWHERE = (".fixtures.inside", ".breaking.runtime")
# Nothing is asked of these while a commit is judged.
_ASKED_NOTHING = (".job_worker.scaffold", ".ledger.exports", ".ledger.anchoring")
_DATA = ("skills", "schemas")


def load_judges() -> None:
    """Imports all that judges. A module that were imported later would be read from a file that
    tests of the repository may have written by then.
    """
    for name in (*_ALONE, *(f"skillrun.{package}" for package in _JUDGING)):
        _load(name)


def _load(name: str) -> None:
    if name.endswith((*_ELSEWHERE, *_ASKED_NOTHING)):
        return
    module = importlib.import_module(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        _load(f"{name}.{found.name}")


def find_own_folders() -> Iterator[tuple[str, Path]]:
    """(how it is called in a finding, folder) of all that skillrun consists of."""
    package = Path(skillrun.__file__).resolve().parent
    yield "skillrun", package
    for name in _DATA:
        folder = resource(name).resolve()
        if not folder.is_relative_to(package):
            yield name, folder
