"""`skillrun baseline`: what is wrong with the jobs of today, so that only what is new fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.cli.commands.signals import ended_by_signals
from skillrun.core.errors import Blocked, SkillrunError
from skillrun.core.tally import count_things
from skillrun.core.text import masked, visible
from skillrun.proof.judgement import Verdict

if TYPE_CHECKING:
    from skillrun.proof.baseline import KnownCause
    from skillrun.reports.watchers import Silent
    from skillrun.skills.job_worker.overview.rows import JobReader

_LONGEST = 160  # characters of what is said of one job


@dataclass(frozen=True)
class JobDebt:
    """What a proof of one job came to. `why`: the proof gave no answer."""

    handler: str
    causes: frozenset[KnownCause]
    why: str = ""


def keep_baseline(repo: Path, trust: bool) -> int:
    """Proves every job, and writes the causes of all refutations; exit code 3 where a job has no
    answer, of which the file then says what it said before.
    """
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.proof.baseline import BASELINE, read_baseline, write_baseline
    from skillrun.reports.watchers import watcher_for

    watcher = watcher_for(json=False)
    reader = open_reader(repo)
    root = reader.repo.root
    before = read_baseline(root)
    known: dict[str, frozenset[KnownCause]] = {}
    unanswered = 0
    for handler, spec in _list_jobs(reader):
        with ended_by_signals():
            debt = _find_debt(repo, handler, spec, watcher, trust)
        known[handler] = debt.causes
        if debt.why:
            known[handler] = debt.causes | before.get(handler, frozenset())
            unanswered += 1
        _show_debt(watcher, debt, before.get(handler, frozenset()))
    for handler in sorted(before.keys() - known.keys()):
        _say_line(watcher, "passed", f"{'paid off':<11}{handler}  is no job here any more")
    if not known:
        raise Blocked("there is no job here", hint="skillrun jobs says what was looked for")
    _write_file(root, BASELINE, write_baseline(known))
    _say_line(watcher, "bold", f"written: {BASELINE}: {_count_known(known, unanswered)}; commit it")
    if unanswered:
        return 3
    return 0


def _count_known(known: Mapping[str, frozenset[KnownCause]], unanswered: int) -> str:
    """E.g. `3 known causes of 2 jobs, 1 job without an answer`."""
    indebted = list(filter(None, known.values()))
    said = "no known cause"
    if indebted:
        causes = count_things(sum(map(len, indebted)), "known cause")
        said = f"{causes} of {count_things(len(indebted), 'job')}"
    if unanswered:
        said = f"{said}, {count_things(unanswered, 'job')} without an answer"
    return said


def _list_jobs(reader: JobReader) -> Iterator[tuple[str, Path | None]]:
    """Handler and spec of each job."""
    found = dict[str, Path | None]()
    for job in reader.jobs:
        found[job.handler.import_path] = None
    for handler, spec in reader.specs.items():
        found[handler] = spec.path
    yield from sorted(found.items())


def _find_debt(
    repo: Path, handler: str, spec: Path | None, watcher: Silent, trust: bool
) -> JobDebt:
    from skillrun.cli.commands.job_proofs import prove_by_spec_or_tests
    from skillrun.proof.baseline import list_causes

    try:
        report, _ = prove_by_spec_or_tests(repo, handler, spec, watcher, trust=trust)
    except SkillrunError as error:
        return JobDebt(handler, frozenset(), str(error))
    why = ""
    if report["verdict"] == Verdict.INCOMPLETE:
        why = report["incomplete"][0]["message"]
    return JobDebt(handler, list_causes(report), why)


def _show_debt(watcher: Silent, debt: JobDebt, before: frozenset[KnownCause]) -> None:
    if debt.why:
        said = visible(masked(debt.why), limit=_LONGEST)
        _say_line(watcher, "blocked", f"{'no answer':<11}{debt.handler}  {said}")
        return
    if not debt.causes:
        _say_line(watcher, "passed", f"{'proved':<11}{debt.handler}")
    for one in sorted(debt.causes):
        _say_line(watcher, "failed", f"{'known':<11}{debt.handler}  {one.text}")
    for one in sorted(before - debt.causes):
        _say_line(watcher, "passed", f"{'paid off':<11}{debt.handler}  {one.text}")


def _say_line(watcher: Silent, style: str, text: str) -> None:
    from skillrun.reports.lines import line

    watcher.show(line(0, (style, text), hang=11))


def _write_file(root: Path, name: str, text: str) -> None:
    """Through no link that leads out of the repository."""
    from skillrun.core.files import Files, write
    from skillrun.repo.git import open_to_write

    open_to_write(root)
    files = Files(root)
    files.put(name, text.encode())
    write(root, files.changes())
