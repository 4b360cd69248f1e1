"""One run of the repository's tests in a scratch copy, with the handler as it is or broken, and what was recorded."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from skillrun.proof.breaking.edits import FileEdit, edited
from skillrun.proof.breaking.scratch import scratch_copy

_RUNTIME = Path(__file__).with_name("runtime.py")
_NAME = "skillrun_broken"
_UNBROKEN = {"drop": False, "swallow": [], "turn": []}


class Ran(Protocol):
    """How a command ended, as `validations.run.CommandResult` says it."""

    @property
    def command(self) -> str: ...
    @property
    def timed_out(self) -> bool: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def output_sha256(self) -> str: ...
    @property
    def output_size(self) -> int: ...
    @property
    def tail(self) -> str: ...
    @property
    def words(self) -> str: ...


Runner = Callable[[str, Path, Mapping[str, str], float], Ran]
"""Runs a shell line in a folder with this environment, within so many seconds."""


@dataclass(frozen=True)
class Job:
    """Whose tests are run, and how."""

    root: Path
    files: tuple[str, ...]  # of the repository: what is copied
    edits: Mapping[str, FileEdit]  # path -> where the handler can be broken
    modules: tuple[str, ...]  # the import names of the edited files
    python: str
    folder: str  # where the tests run, relative to the root
    import_root: str  # the folder from which the handler is imported
    transient: tuple[Mapping[str, Any], ...] = ()  # {"type": import path, "args": [...]}
    permanent: tuple[Mapping[str, Any], ...] = ()
    returns: Any = None  # what the effect gives when it is dropped
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """Which tests run, and what is broken meanwhile."""

    paths: tuple[str, ...]  # test files relative to the job's folder; (): all that pytest collects
    limit_s: float
    broken: Mapping[str, Any] = field(default_factory=dict)  # settings of a break
    only: frozenset[str] | None = None  # tests without their parameters; None: all
    red: frozenset[str] = frozenset()  # fail when nothing is broken: that says nothing
    is_edited: bool = True  # False: the repository as it is


@dataclass(frozen=True)
class Records:
    """What a run showed. Tests are pytest's ids, relative to its own root."""

    ran: Ran
    prefix: str = ""  # from the repository's root to pytest's
    outcomes: Mapping[str, str] = field(default_factory=dict)  # passed | failed | skipped | xfailed
    messages: Mapping[str, str] = field(default_factory=dict)  # of what failed or could not be collected
    reached: Mapping[str, str] = field(default_factory=dict)  # test -> scope in which the handler ran
    struck: frozenset[str] = frozenset()  # tests in which the break made a difference
    uncollected: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # what was imported instead of the copy
    unresolved: tuple[str, ...] = ()  # declared errors that do not exist
    opened: frozenset[str] = frozenset()  # files of the repository
    timed_out: bool = False
    not_alone: bool = False  # a fork of this process would share something with the next
    spawned: bool = False  # other processes may have read more
    no_pytest: bool = False
    ended: bool = False

    def of(self, outcome: str) -> frozenset[str]:
        """The tests with an outcome."""
        return frozenset(test for test, found in self.outcomes.items() if found == outcome)

    def shown(self, test: str) -> str:
        """A test's id relative to the repository."""
        return f"{self.prefix}/{test}" if self.prefix else test


def run_tests(job: Job, asked: Asked, run: Runner) -> Records:
    """A run in a fresh copy: what an earlier one left behind could break the next."""
    return _run_in_copy(job, asked, (), run)[0]


def run_forked(job: Job, asked: Sequence[Asked], run: Runner) -> list[Records] | None:
    """Runs that differ in their break alone, in one process that collects the tests once and forks for each.

    None where that is not the same as a process for each: something outlasts a fork, or collecting failed.
    """
    whole = replace(asked[0], broken={}, limit_s=sum(one.limit_s for one in asked) + asked[0].limit_s)
    first, *others = _run_in_copy(job, whole, asked, run)
    return others if first.ended and not first.not_alone and not first.uncollected else None


def _run_in_copy(job: Job, asked: Asked, breaks: Sequence[Asked], run: Runner) -> list[Records]:
    with scratch_copy(job.root, job.files) as scratch:
        repo = scratch / "repo"
        records = [scratch / f"records{number}" for number in range(len(breaks) + 1)]
        for file in records:
            file.touch()
        _write_edits(job, asked, repo)
        _write_runtime(job, asked, repo, records, breaks)
        ran = run(_command(job, asked), repo / job.folder, _environment(job, scratch), asked.limit_s)
        return [_read(file, ran, repo, job) for file in records]


def _write_edits(job: Job, asked: Asked, repo: Path) -> None:
    for path, edit in job.edits.items() if asked.is_edited else ():
        (repo / path).write_text(edited((job.root / path).read_bytes(), edit), encoding="utf-8")


def _write_runtime(job: Job, asked: Asked, repo: Path, records: Sequence[Path], breaks: Sequence[Asked]) -> None:
    """Beside the handler's own package: whoever can import the handler can import it."""
    place = repo / job.import_root / f"{_NAME}.py"
    place.write_bytes(_RUNTIME.read_bytes())
    settings = {
        **_UNBROKEN,
        **asked.broken,
        "out": str(records[0]),
        "root": str(repo),
        "source": str(job.root),
        "breaks": [
            {**_UNBROKEN, **one.broken, "out": str(out), "limit_s": one.limit_s, "stop": True}
            for one, out in zip(breaks, records[1:], strict=True)
        ],
        "modules": list(job.modules),
        "transient": [dict(item) for item in job.transient],
        "permanent": [dict(item) for item in job.permanent],
        "returns": job.returns,
        "only": None if asked.only is None else sorted(asked.only),
        "red": sorted(asked.red),
        "stop": bool(asked.broken),
        "watch": not asked.broken and not breaks,
    }
    place.with_suffix(".json").write_text(json.dumps(settings, default=str), encoding="utf-8")


def _command(job: Job, asked: Asked) -> str:
    return shlex.join([job.python, "-m", _NAME, "--continue-on-collection-errors", *asked.paths])


def _environment(job: Job, scratch: Path) -> dict[str, str]:
    """The copy leads PYTHONPATH, before what an editable install would give; temporary files go with the copy."""
    kept = {name: value for name, value in job.env.items() if not name.startswith(("PYTEST_CURRENT", "PYTEST_XDIST"))}
    roots = dict.fromkeys(str(scratch / "repo" / folder) for folder in (job.import_root, job.folder, ""))
    path = [*roots, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "TMPDIR": str(scratch / "tmp")}


def _read(records: Path, ran: Ran, repo: Path, job: Job) -> Records:
    said: dict[str, list[dict[str, Any]]] = {}
    for line in records.read_text(encoding="utf-8", errors="replace").splitlines():
        event = _parsed(line)
        said.setdefault(event.get("event", ""), []).append(event)
    end = said.get("end", [{}])[-1]
    roots = [event["path"] for event in said.get("root", [])]
    failures = [*said.get("outcome", []), *said.get("uncollected", [])]
    return Records(
        ran=ran,
        prefix=_relative(roots[0], repo) if roots else "",
        outcomes=_worst(said.get("outcome", [])),
        messages={event["test"]: event["message"] for event in failures if event["message"]},
        reached={event["test"]: event["scope"] for event in said.get("reached", []) if event["test"]},
        struck=frozenset(event["test"] for event in said.get("struck", [])),
        uncollected=tuple(event["test"] for event in said.get("uncollected", [])),
        elsewhere=tuple(end.get("elsewhere", ())),
        unresolved=tuple(event["name"] for event in said.get("unresolved", [])),
        opened=frozenset(_inside(end.get("opened", ()), repo, repo / job.folder)),
        timed_out=ran.timed_out or "timed-out" in said,
        not_alone="not-alone" in said,
        spawned=bool(end.get("spawned")),
        no_pytest="no-pytest" in said,
        ended=bool(end),
    )


def _parsed(line: str) -> dict[str, Any]:
    """A line that was cut off when its process was ended says nothing."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _worst(events: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Test -> outcome over set-up, call and tear-down."""
    order = ("passed", "xfailed", "skipped", "failed")
    found: dict[str, str] = {}
    for event in events:
        known = found.get(event["test"], "passed")
        found[event["test"]] = max(known, event["outcome"], key=order.index)
    return found


def _relative(path: str, repo: Path) -> str:
    found = os.path.relpath(os.path.realpath(path), repo)
    return "" if found == "." or found.startswith("..") else found.replace(os.sep, "/")


def _inside(paths: Iterable[str], repo: Path, folder: Path) -> Iterator[str]:
    """Paths relative to the repository, of those that lie in it."""
    for path in paths:
        found = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118 - texts from outside
        if found.startswith(f"{repo}{os.sep}"):
            yield os.path.relpath(found, repo).replace(os.sep, "/")
