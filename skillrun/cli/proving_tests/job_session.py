"""A session of pytest in which jobs are proved: which ones, what is said of each, and what the
summary tells.
"""

from __future__ import annotations

import inspect
import json
import os
import shlex
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from typing import Any

import pytest

from skillrun.cli.proving_tests.asking import ListedJob, Trouble, ask_for_jobs, read_jobs
from skillrun.cli.proving_tests.job_item import PROPERTY, ProvedJob, add_job
from skillrun.cli.proving_tests.said import JobSaid, read_marks
from skillrun.proof.judgement import HOLDS, Verdict

_JOBS, _MISUSE = "skillrun_jobs", "skillrun_misuse"
_LETTERS = {
    Verdict.PROVED: ("passed", ".", "PROVED"),
    HOLDS: ("passed", ".", "HOLDS"),
    Verdict.REFUTED: ("failed", "F", "REFUTED"),
    "known": ("xfailed", "x", "KNOWN"),
    Verdict.INCOMPLETE: ("skipped", "s", "INCOMPLETE"),
    "blocked": ("skipped", "s", "NOT PROVED"),
}
_COLOURS = {
    Verdict.PROVED: "green",
    HOLDS: "green",
    "known": "yellow",
    Verdict.REFUTED: "red",
    Verdict.INCOMPLETE: "yellow",
    "blocked": "yellow",
}


class JobSession:
    """Registered as a plug-in where a proof is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.misuse: str | None = None  # of a worker of xdist: only its controller may end so
        self.unreached: list[str] = []
        self.told: list[dict[str, str]] = []

    @cached_property
    def listed(self) -> list[dict[str, Any]]:
        """Read once: workers of xdist get it from their controller."""
        given = getattr(self.config, "workerinput", {})
        if _JOBS in given:
            found: list[dict[str, Any]] = json.loads(given[_JOBS])
            return found
        try:
            return ask_for_jobs(str(self.config.rootpath), self.config.option.prove_schedule)
        except Trouble as trouble:
            raise pytest.UsageError(f"--prove: {trouble}") from None

    @cached_property
    def jobs(self) -> list[ListedJob]:
        """Every job of the repository."""
        return read_jobs(self.listed)

    # -- which jobs

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Adds the jobs, behind whatever others have left of the tests and in whatever order."""
        yield
        try:
            made = self._make_items(session, items)
        except pytest.UsageError as error:
            if not hasattr(self.config, "workeroutput"):
                raise
            self.misuse, made = str(error), []
        if self.config.option.prove_schedule or self.misuse:
            self.config.hook.pytest_deselected(items=list(items))
            items.clear()
        items.extend(made)

    def _make_items(self, session: pytest.Session, items: Iterable[pytest.Item]) -> list[ProvedJob]:
        reaching = self._find_reaching(items)
        said = self._match_marks(read_marks(items))
        wanted = set[str]()
        for name in self.config.option.prove_job:
            wanted.add(self._find_job(name).handler)
        made = []
        for job in self.jobs:
            of_mark = said.get(job.handler, JobSaid(job.handler))
            tests = [*reaching.get(job.handler, ()), *of_mark.items]
            if wanted and job.handler not in wanted:
                continue
            if not wanted and not tests:
                self.unreached.append(job.handler)
                continue
            made.append(self._make_item(session, job, tests, of_mark))
        if self.config.option.prove_schedule and len(made) > 1:
            names = ", ".join(item.job.handler for item in made)
            raise pytest.UsageError(
                f"--prove-schedule: of which job? add --prove-job HANDLER, one of {names}"
            )
        return made

    def _make_item(
        self, session: pytest.Session, job: ListedJob, tests: list[pytest.Item], said: JobSaid
    ) -> ProvedJob:
        if said.fields and job.spec is not None:
            word = f"the mark of {said.handler} says {', '.join(sorted(said.fields))}"
            raise pytest.UsageError(f"{word}, and the job has a spec: say it in {job.spec}")
        parent: pytest.Collector | pytest.Session = session
        for item in tests[:1]:
            parent = item.getparent(pytest.Module) or session
        places = [str(place) for place in self.config.option.file_or_dir]
        typed = shlex.join(["pytest", *places, "--prove-job", job.handler])
        request = {
            "said": said.fields,
            "schedule": self.config.option.prove_schedule,
            "typed": typed,
            "is_verbose": self.config.option.verbose > 0,
        }
        return add_job(parent, job, str(self.config.rootpath), request)

    def _find_reaching(self, items: Iterable[pytest.Item]) -> dict[str, list[pytest.Item]]:
        """Handler -> the tests of this session that reach it."""
        places: dict[tuple[str, str], list[pytest.Item]] = {}
        for item in items:
            place = _find_place(item)
            if place is not None:
                places.setdefault(place, []).append(item)
        found: dict[str, list[pytest.Item]] = {}
        for job in self.jobs:
            for test in job.tests & places.keys():
                found.setdefault(job.handler, []).extend(places[test])
        return found

    def _match_marks(self, said: dict[str, JobSaid]) -> dict[str, JobSaid]:
        """By the handlers' own names. Raises UsageError for a mark of no job."""
        found: dict[str, JobSaid] = {}
        for name, one in said.items():
            handler = self._find_job(name, f" (marked at {one.items[0].nodeid})").handler
            if handler in found:
                other = found[handler].handler
                raise pytest.UsageError(f"one job is marked as {other} and as {name}: use one name")
            found[handler] = one
        return found

    def _find_job(self, name: str, where: str = "") -> ListedJob:
        for job in self.jobs:
            if name in job.names:
                return job
        known = f"jobs here: {', '.join(job.handler for job in self.jobs)}"
        if not self.jobs:
            known = "no job was found here; skillrun jobs says what was looked for"
        raise pytest.UsageError(f"{name}: no job is called so{where}; {known}")

    # -- several processes

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hands the jobs to a worker of xdist."""
        node.workerinput[_JOBS] = json.dumps(self.listed)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended: what it could not say itself."""
        output = getattr(node, "workeroutput", {})
        self.misuse = self.misuse or output.get(_MISUSE)
        self.unreached = self.unreached or output.get("skillrun_unreached", [])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Ends as pytest does where something was asked that cannot be."""
        output = getattr(self.config, "workeroutput", None)
        if output is not None:
            output[_MISUSE] = self.misuse
            output["skillrun_unreached"] = self.unreached
        elif self.misuse:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    # -- what is told

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, str] | None:
        """A job's own words in the place of PASSED and its like."""
        word = _read_properties(report).get("verdict")
        if word is None or getattr(report, "when", None) != "call":
            return None
        return _LETTERS[word]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps what the summary tells of a job."""
        told = _read_properties(report)
        if told and report.when == "call":
            self.told.append(told)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """A line for each job; with one schedule its story."""
        if self.misuse:
            terminalreporter.write_line(f"ERROR: {self.misuse}", red=True)
            return
        if not self.told and not self.unreached:
            return
        terminalreporter.section("jobs", sep="=")
        width = 0
        for one in self.told:
            width = max(width, len(one["job"]))
        for one in self.told:
            self._tell_job(terminalreporter, one, width)
        if self.unreached:
            word = "no test here reaches (@pytest.mark.job names the job of a test)"
            terminalreporter.write_line(f"{'no test':<11}{word}: {', '.join(self.unreached)}")

    def _tell_job(self, terminalreporter: Any, told: dict[str, str], width: int) -> None:
        word = told["verdict"]
        terminalreporter.write(f"{word:<11}", **{_COLOURS[word]: True})
        # Not `write_line`: in a verbose session that begins another line.
        terminalreporter.write(f"{told['job']:<{width}}  {told['says']}\n")
        for note in json.loads(told["notes"]):
            terminalreporter.write_line(f"{'':<11}{note}")
        # That of a refutation stands among the failures.
        if self.config.option.prove_schedule and word != Verdict.REFUTED:
            for shown in json.loads(told["story"]):
                terminalreporter.write_line(shown)


def _find_place(item: pytest.Item) -> tuple[str, str] | None:
    """(file, name in it) of the function of a test, also where a class inherits it."""
    function = getattr(item, "function", None)
    if function is None:
        return None
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return None
    return os.path.realpath(code.co_filename), code.co_qualname


def _read_properties(report: Any) -> dict[str, str]:
    return dict(_list_properties(getattr(report, "user_properties", ())))


def _list_properties(given: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    for name, value in given:
        if name.startswith(PROPERTY):
            yield name.removeprefix(PROPERTY), str(value)
