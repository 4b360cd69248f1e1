"""What the plug-in asks of skillrun, in a process of its own: a session of tests may have its own
clock, no sockets, an event loop, or a hook at each fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_MODULE = "skillrun.cli.proving_tests.answering"
_LAST_LINES = 5  # of what a process said that gave no answer


@dataclass(frozen=True)
class Trouble(Exception):
    """Why there is no answer, in one line; `is_misuse`: something was asked that cannot be."""

    message: str
    is_misuse: bool

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class ListedJob:
    """A job of the repository. `tests`: the functions that reach it, as (file, name in it)."""

    handler: str
    names: tuple[str, ...]  # by which a person may mean it
    spec: str | None
    tests: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class ProofAnswer:
    """What a proof came to. `word`: proved, refuted, incomplete, or blocked; `story`: its lines."""

    word: str
    says: str
    story: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())  # for the summary, below the job's line


def ask_for_jobs(root: str, schedule: str | None) -> list[dict[str, Any]]:
    """Every job, as JSON has it: other processes of the session get it, too. Raises Trouble."""
    found: list[dict[str, Any]] = _ask({"do": "list", "root": root, "schedule": schedule})["jobs"]
    return found


def read_jobs(listed: list[dict[str, Any]]) -> list[ListedJob]:
    """The same as values."""
    jobs = []
    for one in listed:
        tests = frozenset((path, name) for path, name in one["tests"])
        jobs.append(ListedJob(one["handler"], tuple(one["names"]), one["spec"], tests))
    return jobs


def ask_for_proof(request: Mapping[str, Any]) -> ProofAnswer:
    """One job, proved. Raises Trouble."""
    answer = _ask({"do": "prove", **request})
    return ProofAnswer(
        answer["word"], answer["says"], tuple(answer["story"]), tuple(answer["notes"])
    )


def _ask(request: Mapping[str, Any]) -> dict[str, Any]:
    # -P: a file of the repository may be called like a module of ours.
    done = subprocess.run(
        [sys.executable, "-P", "-m", _MODULE],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=_make_environment(),
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = " / ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise Trouble(f"skillrun gave no answer: {said}", is_misuse=False) from None
    if "error" in answer:
        raise Trouble(answer["error"], answer["is_misuse"])
    return answer


def _make_environment() -> dict[str, str]:
    """This one; the interpreter of the session is the activated one, whatever a shell says."""
    env = dict(os.environ)
    env.pop("VIRTUAL_ENV", None)
    if sys.prefix != sys.base_prefix:
        env["VIRTUAL_ENV"] = sys.prefix
    return env
