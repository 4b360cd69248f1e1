"""The jobs of a repository as rows: what each does, what is known of it, the costliest first."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import SkillrunError
from skillrun.core.text import visible
from skillrun.core.verdict import Finding, Severity
from skillrun.repo.python import Project
from skillrun.repo.uses import Place
from skillrun.skills.job_worker.overview.draft_verdicts import read_draft_verdict
from skillrun.skills.job_worker.overview.handlers import (
    FoundJob,
    find_job,
    find_jobs,
    find_name_in_text,
    list_bodies,
    list_calls,
    make_named_job,
)
from skillrun.skills.job_worker.overview.memories import Memory, find_memories
from skillrun.skills.job_worker.overview.past_verdicts import PastVerdict, read_past_verdicts
from skillrun.skills.job_worker.overview.policy_words import tell_policy, tell_trigger
from skillrun.skills.job_worker.overview.reaching_tests import find_reaching_tests
from skillrun.skills.job_worker.overview.seams import (
    Seam,
    describe_adapter,
    find_adapters,
    find_seams,
    list_declared,
)

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.calls import Call
    from skillrun.repo.git import Repo
    from skillrun.repo.survey import Survey
    from skillrun.repo.tree import Tree
    from skillrun.repo.uses import FrameworkUse

# The rank of a job that only writes its own tables: after whatever reaches out.
_NOTHING_LEAVES = 5
_NOTHING_SEEN = 6


@dataclass(frozen=True)
class JobRow:
    """One job, as far as it can be read."""

    job: FoundJob
    policy: Policy
    seams: tuple[Seam, ...]
    memories: tuple[Memory, ...]
    tests: tuple[Place, ...]
    named_at: Place | None  # of one that nothing sends: where other code holds its name as a text
    certain: tuple[Finding, ...]  # what reading holds against it for certain
    not_read: tuple[str, ...]  # why some rules say nothing of it
    spec_path: str | None
    verdict: PastVerdict | None

    @property
    def order(self) -> tuple[int, bool, str, int]:
        """What could cost most comes first; of two alike, the one whose tries never end."""
        cost = _NOTHING_LEAVES if self.memories else _NOTHING_SEEN
        if self.seams:
            cost = self.seams[0].cost
        is_bounded = self.policy.max_attempts is not None
        return cost, is_bounded, self.job.handler.path, self.job.handler.line

    @property
    def trigger(self) -> str:
        return tell_trigger(self.job, is_named=self.named_at is not None)

    @property
    def sent_at(self) -> tuple[Place, ...]:
        """Where it is sent, else where other code names it."""
        places = [send.place for send in self.job.real_sends]
        if self.named_at is not None:
            places.append(self.named_at)
        return tuple(places)

    @property
    def policy_words(self) -> str:
        return tell_policy(self.policy, self.job.framework.ID)


@dataclass(frozen=True)
class Overview:
    """All jobs of a repository; `unread` names the libraries whose jobs skillrun cannot list.
    `unread_specs`: (path, why) of the specs that are there and cannot be read. `uses`: the job
    libraries that were recognised.
    """

    rows: tuple[JobRow, ...]
    uses: tuple[FrameworkUse, ...]
    unread: tuple[str, ...]
    unread_specs: tuple[tuple[str, str], ...]


def rank_jobs(project: Project, survey: Survey) -> list[FoundJob]:
    """Every job, the costliest first, by the code alone."""
    jobs = find_jobs(project, (*survey.frameworks, *survey.offers))
    sent = find_sending_calls(jobs)
    costs = {}
    for job in jobs:
        others = list_others(jobs, job)
        seams = find_seams(list_calls(project, job, others), sent)
        costs[job.handler.import_path] = seams[0].cost if seams else _NOTHING_LEAVES
    return sorted(jobs, key=lambda job: costs[job.handler.import_path])


def find_sending_calls(jobs: Sequence[FoundJob]) -> dict[ast.Call, str]:
    """The calls that send a job, each with the job's dotted name."""
    found = {}
    for job in jobs:
        for send in job.real_sends:
            if send.call is not None:
                found[send.call.node] = job.handler.dotted
    return found


def list_others(jobs: Sequence[FoundJob], job: FoundJob) -> frozenset[str]:
    """The dotted names of the other jobs."""
    return frozenset(other.handler.dotted for other in jobs) - {job.handler.dotted}


class JobReader:
    """Reads the jobs of one tree. It runs nothing, and writes nothing."""

    def __init__(self, repo: Repo, tree: Tree, ledger: Path) -> None:
        self.repo = repo
        self.tree = tree
        self.ledger = ledger
        self.project = Project(tree)

    @cached_property
    def survey(self) -> Survey:
        from skillrun.frameworks.registry import recognisers
        from skillrun.repo.survey import survey_tree

        return survey_tree(self.tree, recognisers())

    @cached_property
    def jobs(self) -> tuple[FoundJob, ...]:
        """Every job, in order of path and line."""
        return find_jobs(self.project, self._uses)

    @property
    def _uses(self) -> tuple[FrameworkUse, ...]:
        return (*self.survey.frameworks, *self.survey.offers)

    def find_job(self, name: str) -> FoundJob | None:
        """The job that a person means, also where only they say that it is one."""
        known = find_job(self.jobs, name)
        if known is not None:
            return known
        # A module that starts the worker may hold it under its own name.
        meant = self.project.definition(name.replace(":", "."))
        if meant is None:
            return None
        known = find_job(self.jobs, meant.dotted)
        return known or make_named_job(self.project, self._uses, meant)

    @cached_property
    def specs(self) -> dict[str, JobSpec]:
        """Import path of a handler -> its spec; one that cannot be read is in `unread_specs`."""
        found: dict[str, JobSpec] = {}
        for answer in self._loaded:
            if isinstance(answer, tuple):
                continue
            if answer.handler is not None:
                found.setdefault(answer.handler, answer)
        return found

    @cached_property
    def unread_specs(self) -> tuple[tuple[str, str], ...]:
        """(path, why) of each spec that is there and cannot be read."""
        return tuple(answer for answer in self._loaded if isinstance(answer, tuple))

    @cached_property
    def _loaded(self) -> list[JobSpec | tuple[str, str]]:
        """Each spec, or where it lies and why it is none."""
        from skillrun.contract.spec import load_spec
        from skillrun.contract.specfile import SPEC_FOLDER, specs_in

        answers: list[JobSpec | tuple[str, str]] = []
        for path in specs_in(self.repo.root, SPEC_FOLDER):
            try:
                answers.append(load_spec(path, root=self.repo.root))
            except SkillrunError as error:
                shown = path.relative_to(self.repo.root).as_posix()
                why = str(error).replace(str(path), shown).removeprefix(shown).lstrip(": ")
                answers.append((shown, visible(why, limit=200)))
        return answers

    def read(self) -> Overview:
        """Every job as a row, the costliest first."""
        verdicts = read_past_verdicts(self.repo, self.tree, self.ledger, self.specs)
        rows = [self.read_row(job, verdicts) for job in self.jobs]
        rows.sort(key=lambda row: row.order)
        return Overview(tuple(rows), self._uses, self._list_unread(), self.unread_specs)

    def read_row(self, job: FoundJob, verdicts: Mapping[str, PastVerdict]) -> JobRow:
        """What can be told of one job."""
        calls = list_calls(self.project, job, self._others(job))
        bodies = list_bodies(self.project, job, self._others(job))
        policy = job.framework.read_policy(self.project, job.use, job.handler)
        path = job.handler.import_path
        spec = self.specs.get(path)
        findings, reasons = self._read_rules(job, policy, spec)
        return JobRow(
            job=job,
            policy=policy,
            seams=self._read_seams(job, policy, calls, spec),
            memories=find_memories(bodies, calls),
            tests=find_reaching_tests(self.project, job),
            named_at=None if job.real_sends else find_name_in_text(self.project, job),
            certain=findings,
            not_read=reasons,
            spec_path=spec.shown_path if spec is not None else None,
            verdict=self._find_verdict(path, verdicts),
        )

    def _find_verdict(
        self, handler: str, verdicts: Mapping[str, PastVerdict]
    ) -> PastVerdict | None:
        """The ledger's; that of a draft where no spec says what is promised."""
        if handler in verdicts or handler in self.specs:
            return verdicts.get(handler)
        return read_draft_verdict(self.tree, handler)

    def read_certain(self, job: FoundJob) -> tuple[Finding, ...]:
        """What the library's rules hold against a job for certain, and nothing else of it."""
        policy = job.framework.read_policy(self.project, job.use, job.handler)
        certain, _ = self._read_rules(job, policy, self.specs.get(job.handler.import_path))
        return certain

    def _read_seams(
        self, job: FoundJob, policy: Policy, calls: list[Call], spec: JobSpec | None
    ) -> tuple[Seam, ...]:
        seen = find_seams(calls, self._sent)
        if spec is None:
            if any(seam.kind != "publish" for seam in seen):
                return seen
            adapters = find_adapters(self.project, job.handler, policy.retried, calls)
            guessed = [describe_adapter(target, call) for target, call in adapters]
            return tuple(sorted((*seen, *guessed), key=lambda seam: seam.cost))
        declared = list_declared(spec.effects or (), seen, spec.shown_path)
        return tuple(sorted((*seen, *declared), key=lambda seam: seam.cost))

    @cached_property
    def _sent(self) -> dict[ast.Call, str]:
        return find_sending_calls(self.jobs)

    def _others(self, job: FoundJob) -> frozenset[str]:
        return list_others(self.jobs, job)

    def _read_rules(
        self, job: FoundJob, policy: Policy, spec: JobSpec | None
    ) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """(what the library's rules are certain of, why others cannot say)."""
        from skillrun.contract.job import JobSpec
        from skillrun.frameworks.interface import Job
        from skillrun.frameworks.rulebook import read_rule

        # Rules compare the code with what its library does; without a spec nothing is compared
        # with it.
        given = spec or JobSpec(version=1, job="-", handler=job.handler.import_path)
        asked = Job(self.project, self.survey, job.use, given, job.handler, policy)
        certain: list[Finding] = []
        reasons: dict[str, None] = {}
        for rule in job.framework.list_rules():
            reading = read_rule(rule, asked)
            for finding in reading.findings:
                if finding.severity in (Severity.BLOCKER, Severity.ERROR):
                    certain.append(finding)
            reasons.update(dict.fromkeys(one.because for one in reading.not_read))
        return tuple(certain), tuple(reasons)

    def _list_unread(self) -> tuple[str, ...]:
        """Libraries in use whose jobs cannot be listed: they are only recognised."""
        from skillrun.frameworks.registry import FRAMEWORKS, RECOGNISED_ONLY

        names = []
        for use in self.survey.frameworks:
            if use.id not in FRAMEWORKS:
                names.append(RECOGNISED_ONLY.get(use.id, use.id))
        return tuple(names)


def make_document(overview: Overview) -> dict[str, Any]:
    """The rows as jobs.v1."""
    document = {
        "schema_version": 1,
        "jobs": [_make_entry(row) for row in overview.rows],
        "unread": list(overview.unread),
        "unread_specs": [{"path": path, "why": why} for path, why in overview.unread_specs],
    }
    if not overview.rows:
        # A hook reads jobs before each commit, and says nothing of their absence.
        from skillrun.skills.job_worker.overview.no_jobs import make_absence

        document["absence"] = make_absence(overview.uses)
    return document


def _make_entry(row: JobRow) -> dict[str, Any]:
    handler = row.job.handler
    return {
        "handler": handler.import_path,
        "library": row.job.framework.ID,
        "path": handler.path,
        "line": handler.line,
        "trigger": row.trigger,
        "sent_at": [_make_place(place) for place in row.sent_at],
        "policy": {
            "words": row.policy_words,
            "max_attempts": row.policy.max_attempts,
            "acks_late": row.policy.acks_late,
            "not_read": sorted(row.policy.unknown),
        },
        "effects": [_make_seam(seam) for seam in row.seams],
        "remembers": list(_list_memories(row.memories)),
        "tests": [_make_place(place) for place in row.tests],
        "certain": [_make_finding(finding) for finding in row.certain],
        "not_read": list(row.not_read),
        "spec": row.spec_path,
        "verdict": _make_verdict(row.verdict),
    }


def _make_place(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line}


def _make_seam(seam: Seam) -> dict[str, Any]:
    return {
        "kind": seam.kind,
        "name": seam.name,
        **_make_place(seam.place),
        "keyed": seam.is_keyed,
        "money": seam.is_money,
        "certain": seam.is_certain,
    }


def _list_memories(memories: Sequence[Memory]) -> Iterator[dict[str, Any]]:
    for memory in memories:
        yield {"what": memory.what, "once": memory.is_once, **_make_place(memory.place)}


def _make_finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "message": finding.message,
        "path": finding.path,
        "line": finding.line,
    }


def _make_verdict(verdict: PastVerdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "verdict": verdict.verdict,
        "run": verdict.run_id,
        "changed_since": verdict.has_changed,
        "believed": verdict.is_believed,
    }
