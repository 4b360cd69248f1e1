"""One side's tests, run by a command line of ours: no command, option or exit code of the
repository is asked.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from skillrun.validations.environment import command_env
from skillrun.validations.run import run_command
from skillrun.wall.counting.places import find_django_settings
from skillrun.wall.counting.records import Counted, merge_runs, read_records

_LAUNCH = Path(__file__).with_name("inside") / "launch.py"
_LARGEST = 64 * 1024**2  # bytes of records: some hundred thousand tests
# What would add options to ours, or modules before pytest's own.
_DROPPED = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH", "PYTHONOPTIMIZE", "PYTHONINSPECT")


@dataclass(frozen=True)
class Side:
    """A clean checkout and what runs its tests."""

    root: Path
    python: str
    limit_s: float
    say: Callable[[str], None]
    folders: tuple[str, ...]


def count_tests(side: Side, known: Iterable[str] = (), broken_only: Iterable[str] = ()) -> Counted:
    """Collects every test and runs all but the known ones. `broken_only`: those that are tried
    with another body.
    """
    there = [folder for folder in side.folders if (side.root / folder).is_dir()]
    known, broken_only = sorted(known), sorted(broken_only)
    return merge_runs(_count_folder(side, folder, known, broken_only) for folder in there)


def _count_folder(side: Side, folder: str, known: list[str], broken_only: list[str]) -> Counted:
    place = side.root / folder
    key = secrets.token_bytes(32)
    with tempfile.TemporaryDirectory(prefix="skillrun-count-", ignore_cleanup_errors=True) as name:
        private = Path(name)
        settings = private / "settings.json"
        told = {
            "out": str(private / "records"),
            "key": key.hex(),
            "root": os.path.realpath(side.root),
            "known": known,
            "broken_only": broken_only,
            "python_path": os.environ.get("PYTHONPATH", ""),
            "ignored": _list_inner_projects(folder, side.folders),
            "django": find_django_settings(place),
        }
        settings.write_text(json.dumps(told))
        # Ours stays open: the other side takes the name away before anything of the repository
        # runs.
        with (private / "records").open("w+b") as records:
            command = shlex.join([side.python, str(_LAUNCH), str(settings)])
            ran = run_command(
                command,
                cwd=place,
                env=_make_environment(side.root),
                timeout_s=side.limit_s,
                on_line=side.say,
            )
            records.seek(0)
            counted = read_records(records.read(_LARGEST), key, ran.words)
    return replace(counted, duration_ms=ran.duration_ms)


def _list_inner_projects(folder: str, folders: tuple[str, ...]) -> list[str]:
    """The projects inside of this one, which are run from their own folders."""
    prefix = f"{folder}/" if folder else ""
    inner = [other for other in folders if other != folder and other.startswith(prefix)]
    return [other.removeprefix(prefix) for other in inner]


def _make_environment(root: Path) -> dict[str, str]:
    env = command_env(root)
    for name in _DROPPED:
        with suppress(KeyError):
            del env[name]
    return env
