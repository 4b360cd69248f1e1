"""One run of the repository's tests in a scratch copy, with the handler as it is or broken, and
what was recorded.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from skillrun.core.opening import read_file
from skillrun.proof.breaking import reach
from skillrun.proof.breaking.edits import FileEdit, edited
from skillrun.proof.breaking.scratch import scratch_copy

# How long a test of a broken handler may take. Imports alone take seconds on a busy machine; and a
# test that waits for what is broken waits for its own time-out, which is a few times its usual time.
LEAST_S = 30.0
TIMES_LONGER = 10.0
_RUNTIME = Path(__file__).with_name("runtime.py")
_REACH = Path(__file__).with_name("reach.py")
_NAME = "skillrun_broken"
# Bytes; a suite of ten thousand tests records some.
_MOST_RECORDED = 256 * 1024 * 1024
_UNBROKEN = {"drop": False, "swallow": [], "turn": [], "site": ""}


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
    texts: Mapping[str, str] = field(default_factory=dict)  # path -> text with sites


@dataclass(frozen=True)
class Asked:
    """Which tests run, and what is broken meanwhile."""

    paths: tuple[str, ...]  # test files relative to the job's folder; (): all that pytest collects
    limit_s: float
    broken: Mapping[str, Any] = field(default_factory=dict)  # settings of a break
    only: frozenset[str] | None = None  # tests without their parameters; None: all
    red: frozenset[str] = frozenset()  # fail when nothing is broken: that says nothing
    is_edited: bool = True  # False: the repository as it is
    most: int = 0  # sites that are tried
    enough_s: float = 0.0  # after these, no further site is


@dataclass(frozen=True)
class Records:
    """What a run showed. Tests are pytest's ids, relative to its own root."""

    ran: Ran
    prefix: str = ""  # from the repository's root to pytest's
    outcomes: Mapping[str, str] = field(default_factory=dict)  # passed | failed | skipped | xfailed
    # Of what failed or could not be collected.
    messages: Mapping[str, str] = field(default_factory=dict)
    # Test -> scope in which the handler ran.
    reached: Mapping[str, str] = field(default_factory=dict)
    struck: frozenset[str] = frozenset()  # tests in which the break made a difference
    met: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # site -> test -> scope
    unmet: bool = False  # no green test comes by the site
    uncollected: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()  # what was imported instead of the copy
    unresolved: tuple[str, ...] = ()  # declared errors that do not exist
    opened: frozenset[str] = frozenset()  # files of the repository
    words: str = ""  # how it ended
    timed_out: bool = False
    not_alone: bool = False  # a fork of this process would share something with the next
    spawned: bool = False  # other processes may have read more
    no_pytest: bool = False
    ended: bool = False

    def of(self, outcome: str) -> frozenset[str]:
        """The tests with an outcome."""
        return reach.of(self.outcomes, outcome)

    @property
    def reaching(self) -> frozenset[str]:
        """The green tests that reach the handler."""
        return reach.reaching(self.reached, self.outcomes)

    def shown(self, test: str) -> str:
        """A test's id relative to the repository."""
        if self.prefix:
            return f"{self.prefix}/{test}"
        return test


def run_tests(job: Job, asked: Asked, run: Runner) -> Records:
    """A run in a fresh copy: what an earlier one left behind could break the next."""
    return _run_in_copy(job, asked, (), run)[0]


def run_forked(
    job: Job, asked: Asked, breaks: Sequence[Mapping[str, Any]], run: Runner
) -> list[Records] | None:
    """The unbroken run and each break, in one process that collects the tests once and forks for
    each of them.

    The breaks meet the green tests that reach the handler. None where that is not the same as a
    process for each: something would outlast a fork.
    """
    of_breaks = len(breaks) * limit_of_break(asked.limit_s)
    if asked.enough_s:
        of_breaks = asked.enough_s + limit_of_break(asked.limit_s)
    most = asked.limit_s + of_breaks

    def longer(command: str, folder: Path, env: Mapping[str, str], limit_s: float) -> Ran:
        return run(command, folder, env, most)

    records = _run_in_copy(job, asked, [_UNBROKEN, *breaks], longer)
    if any(one.not_alone for one in records):
        return None
    return records[1:]


def limit_of_break(unbroken_s: float) -> float:
    """Seconds for the tests of a broken handler, from what the unbroken one took: it may try many
    times.
    """
    return max(LEAST_S, TIMES_LONGER * unbroken_s)


def _run_in_copy(
    job: Job, asked: Asked, forks: Sequence[Mapping[str, Any]], run: Runner
) -> list[Records]:
    """What the process itself recorded, then each of its forks."""
    with scratch_copy(job.root, job.files) as scratch:
        repo = scratch / "repo"
        files = [scratch / f"records{number}" for number in range(len(forks) + 1)]
        for file in files:
            file.touch()
        _write_edits(job, asked, repo)
        _write_runtime(job, asked, repo, files, forks)
        ran = run(
            _command(job, asked), repo / job.folder, _environment(job, scratch), asked.limit_s
        )
        own = _said(files[0])
        found = [_read(own, ran, repo, job)]
        own.pop("end", None)  # each fork has its own
        for file in files[1:]:
            found.append(_read({**own, **_said(file)}, ran, repo, job))
        return found


def _write_edits(job: Job, asked: Asked, repo: Path) -> None:
    for path, edit in job.edits.items() if asked.is_edited else ():
        (repo / path).write_text(edited((job.root / path).read_bytes(), edit), encoding="utf-8")
    for path, text in job.texts.items():
        (repo / path).write_text(text, encoding="utf-8")


def _write_runtime(
    job: Job, asked: Asked, repo: Path, files: Sequence[Path], forks: Sequence[Mapping[str, Any]]
) -> None:
    """Beside the handler's own package: whoever can import the handler can import it."""
    place = repo / job.import_root / f"{_NAME}.py"
    place.write_bytes(_RUNTIME.read_bytes())
    place.with_name(f"{_NAME}_reach.py").write_bytes(_REACH.read_bytes())
    forked = []
    for broken, out in zip(forks, files[1:], strict=True):
        forked.append({**_UNBROKEN, **broken, "out": str(out), "stop": broken != _UNBROKEN})
    settings = {
        **_UNBROKEN,
        **asked.broken,
        "out": str(files[0]),
        "root": str(repo),
        "source": str(job.root),
        "forks": forked,
        "limit_s": asked.limit_s,
        "least_s": LEAST_S,
        "times_longer": TIMES_LONGER,
        "modules": list(job.modules),
        "transient": list(map(dict, job.transient)),
        "permanent": list(map(dict, job.permanent)),
        "returns": job.returns,
        "only": None if asked.only is None else sorted(asked.only),
        "red": sorted(asked.red),
        "stop": bool(asked.broken),
        "watch": not asked.broken,
        "maps": bool(job.texts),
        "meeting": {},
        "slow": [],
        "most": asked.most,
        "enough_s": asked.enough_s,
    }
    place.with_suffix(".json").write_text(json.dumps(settings, default=str), encoding="utf-8")


def _command(job: Job, asked: Asked) -> str:
    return shlex.join([job.python, "-m", _NAME, "--continue-on-collection-errors", *asked.paths])


def _environment(job: Job, scratch: Path) -> dict[str, str]:
    """The copy leads PYTHONPATH, before what an editable install would give; temporary files go
    with the copy.
    """
    kept = {}
    for name, value in job.env.items():
        if not name.startswith(("PYTEST_CURRENT", "PYTEST_XDIST")):
            kept[name] = value
    repo = scratch / "repo"
    path = list(dict.fromkeys(map(str, (repo / job.import_root, repo / job.folder, repo))))
    if kept.get("PYTHONPATH"):
        path.append(kept["PYTHONPATH"])
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "TMPDIR": str(scratch / "tmp")}


def _said(records: Path) -> dict[str, list[dict[str, Any]]]:
    """Event -> its records, in order."""
    said: dict[str, list[dict[str, Any]]] = {}
    try:
        text = read_file(records, _MOST_RECORDED).decode("utf-8", "replace")
    except OSError:
        # The tests have put something else in its place.
        return said
    for line in text.splitlines():
        event = _parsed(line)
        said.setdefault(event.get("event", ""), []).append(event)
    return said


def _read(said: Mapping[str, list[dict[str, Any]]], ran: Ran, repo: Path, job: Job) -> Records:
    end = said.get("end", [{}])[-1]
    fork = said.get("fork", [{}])
    return Records(
        ran=ran,
        prefix=_relative(said["root"][0]["path"], repo) if "root" in said else "",
        outcomes=reach.worst(said.get("outcome", [])),
        messages={
            **_by_test(said, "outcome", "message"),
            **_by_test(said, "uncollected", "message"),
        },
        reached=_by_test(said, "reached", "scope"),
        struck=frozenset(_list_field(said, "struck", "test")),
        met=_read_met(said),
        unmet="unmet" in said,
        uncollected=_list_field(said, "uncollected", "test"),
        elsewhere=tuple(end.get("elsewhere", ())),
        unresolved=_list_field(said, "unresolved", "name"),
        opened=frozenset(_inside(end.get("opened", ()), repo, repo / job.folder)),
        words=fork[0].get("words") or ran.words,
        timed_out=ran.timed_out or True in _list_field(said, "fork", "timed_out"),
        not_alone="not-alone" in said,
        spawned=bool(end.get("spawned")),
        no_pytest="no-pytest" in said,
        ended=bool(end) and "unended" not in said,
    )


def _list_field(said: Mapping[str, list[dict[str, Any]]], kind: str, name: str) -> tuple[Any, ...]:
    """One field of every event of a kind."""
    return tuple(event[name] for event in said.get(kind, []))


def _by_test(said: Mapping[str, list[dict[str, Any]]], kind: str, name: str) -> dict[str, Any]:
    """Test -> one field of its last event of a kind; without what has no test or says nothing."""
    found = {}
    for event in said.get(kind, []):
        if event["test"] and event[name]:
            found[event["test"]] = event[name]
    return found


def _read_met(said: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, str]]:
    """Site -> test -> the scope in which the test came by it."""
    met: dict[str, dict[str, str]] = {}
    for event in said.get("met", []):
        if event["test"]:
            met.setdefault(event["site"], {})[event["test"]] = event["scope"]
    return met


def _parsed(line: str) -> dict[str, Any]:
    """A line that was cut off when its process was ended says nothing."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, dict):
        return value
    return {}


def _relative(path: str, repo: Path) -> str:
    found = os.path.relpath(os.path.realpath(path), repo)
    if found == "." or found.startswith(".."):
        return ""
    return found.replace(os.sep, "/")


def _inside(paths: Iterable[str], repo: Path, folder: Path) -> Iterator[str]:
    """Paths relative to the repository, of those that lie in it."""
    for path in paths:
        found = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118 - texts from outside
        if found.startswith(f"{repo}{os.sep}"):
            yield os.path.relpath(found, repo).replace(os.sep, "/")
