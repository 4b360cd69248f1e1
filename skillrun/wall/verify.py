"""One verification: every committed spec again from scratch, and a look at how the branch came to
its evidence.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.canonical import sha256
from skillrun.core.errors import Blocked, SkillrunError
from skillrun.core.opening import read_file
from skillrun.core.state import state_dir
from skillrun.core.verdict import Finding
from skillrun.proof.deploying.deploy import Deploys, try_deploys
from skillrun.proof.history import History
from skillrun.proof.observe import Published
from skillrun.repo.git import Repo, count_uncommitted, git_output, open_repo
from skillrun.skills.job_worker.skill import SKILL
from skillrun.validations.consent import CommandPlan
from skillrun.wall.base import Base, find_base
from skillrun.wall.checkout import Checkout, clean_checkout, find_environments
from skillrun.wall.compared_publishers import judge_publishers
from skillrun.wall.compared_rows import judge_rows
from skillrun.wall.compared_runs import judge_runs
from skillrun.wall.deploys import judge_deploys
from skillrun.wall.diff import Diff, File, committed_specs, read_diff
from skillrun.wall.gaming.specs import at, base_document, base_file
from skillrun.wall.guard import Guard, disbelieve
from skillrun.wall.known_debt import BaseDebt, DebtWatch, judge_known_debt, read_base_debt
from skillrun.wall.new_sweeps import judge_sweeps
from skillrun.wall.observing import (
    find_target,
    observe_job,
    observe_job_in_worlds,
    observe_publishers_of,
)
from skillrun.wall.own_code import load_judges
from skillrun.wall.proved import (
    judge_proof,
    list_risks,
    proved_stages,
    verdict_of,
    why_not_proved,
)
from skillrun.wall.surroundings import Surroundings
from skillrun.wall.variables import judge_settings
from skillrun.wall.verification import BaseProof, Gaming, Job, Tests, Verification
from skillrun.wall.waivers import Given, not_held, waivers_of

if TYPE_CHECKING:
    from skillrun.runner.target import Request
    from skillrun.runner.watcher import Watcher

# No file defines this command: it is what HEAD and the base hold that runs.
COUNTING = CommandPlan(
    "run the tests of HEAD and of the base, also with small breaks in the code, and their lint and"
    " type checks with a fault in the code, and prove the base's job where HEAD's is less proved",
    ("python -m pytest",),
)
# A run proves before the first stage that a proof does not speak of.
_BEHIND_PROOF = "tests"
_KEPT = (
    "outcome",
    "counts",
    "stages",
    "checks",
    "risks",
    "next",
)  # of a report; its ledger is gone


@dataclass(frozen=True)
class Ask:
    """The options of one verification. `trust`: somebody says that what HEAD holds may run."""

    repo: Path = Path()
    base: str | None = None
    trust: bool = False


def verify(ask: Ask, watcher: Watcher) -> Verification:
    """Verifies HEAD, and trusts nothing that the base does not hold.

    Raises Blocked where there is no commit or spec, Refused where --base cannot be compared with.
    """
    started = time.monotonic()
    repo = open_repo(ask.repo)
    commit, paths = _what_to_verify(repo)
    load_judges()
    base = find_base(repo, ask.base, os.environ)
    diff = read_diff(repo.root, base.commit or commit, commit)
    specs = {file.path: file for file in diff.specs if file.path in paths}
    stray = {path: _find_stray_waivers(diff, file, base) for path, file in specs.items()}
    debt = read_base_debt(repo, base)
    # The looks need git's objects alone. Nothing of the repository has run by now.
    gaming = _look_at_branch(base, diff)
    has_other = base.commit not in (None, commit)
    pythons = tuple(_list_interpreters(diff.specs))
    around = Surroundings(find_environments(repo.root, pythons))
    is_covered = covers_verification(repo, trust=ask.trust)
    with clean_checkout(repo, commit, pythons) as checkout:
        ask_person = partial(_ask_once, has_other=has_other, watcher=watcher)
        trusted = is_covered or ask_person(repo, checkout, specs)
        run: dict[str, Job] = {}
        for path, file in specs.items():
            watch = DebtWatch(debt.baseline)
            job = _run_job(
                checkout, file, stray[path], watcher, around, trusted=trusted, watch=watch
            )
            run[path] = judge_known_debt(job, watch.compared)

    sides = _Sides(repo, base, commit, diff, watcher, around, stray, pythons, trusted)
    jobs = []
    for path, file in specs.items():
        jobs.append(_judge_job(run[path], file, diff, sides if has_other else None))
    tests = _count_tests(repo, base, commit, diff, watcher, around, trusted=trusted)
    return Verification(
        commit=commit,
        branch=repo.branch,
        jobs=tuple(jobs),
        gaming=gaming,
        tests=_with_changes(tests, around),
        notes=(*_list_notes(repo, base, stray, debt), *checkout.notes),
        version=_own_version(),
        duration_ms=int((time.monotonic() - started) * 1000),
    )


@dataclass(frozen=True)
class _Sides:
    """Runs a job once more: the base's, and HEAD's in a world that its spec does not speak of."""

    repo: Repo
    base: Base
    commit: str
    diff: Diff
    watcher: Watcher
    around: Surroundings
    stray: Mapping[str, tuple[Given, ...]]
    pythons: tuple[str, ...]
    trusted: bool

    def prove_base(self, spec: File) -> BaseProof:
        repo, base, diff = self.repo, self.base, self.diff
        return _prove_base(repo, base, diff, spec, self.watcher, self.around, trusted=self.trusted)

    def prove_saying(self, spec: File, said: Mapping[str, str]) -> Job:
        """HEAD's job as far as a proof speaks of it, with more in its spec."""
        given, watcher = self.stray[spec.path], self.watcher
        with clean_checkout(self.repo, self.commit, self.pythons) as other:
            return _prove_job(
                other, spec, given, watcher, self.around, trusted=self.trusted, said=said
            )

    def prove_with(self, spec: File, env: Mapping[str, str]) -> Job:
        """HEAD's job with these variables."""
        values = {f"proof.env.{name}": json.dumps(value) for name, value in env.items()}
        return self.prove_saying(spec, values)

    def observe_base(self, spec: File, schedules: list[str]) -> list[History] | None:
        return self._observe(self.base.commit or self.commit, spec, schedules)

    def observe_head(self, spec: File, schedules: list[str]) -> list[History] | None:
        return self._observe(self.commit, spec, schedules)

    def observe_base_in_worlds(self, spec: File) -> dict[str, list[History]] | None:
        return self._observe_in_worlds(self.base.commit or self.commit, spec)

    def observe_head_in_worlds(self, spec: File) -> dict[str, list[History]] | None:
        return self._observe_in_worlds(self.commit, spec)

    def observe_base_publishers(
        self, spec: File, calls: list[str]
    ) -> dict[str, list[Published]] | None:
        return self._observe_publishers(self.base.commit or self.commit, spec, calls)

    def observe_head_publishers(
        self, spec: File, calls: list[str]
    ) -> dict[str, list[Published]] | None:
        return self._observe_publishers(self.commit, spec, calls)

    def _observe_publishers(
        self, commit: str, spec: File, calls: list[str]
    ) -> dict[str, list[Published]] | None:
        """None where nobody agreed that it runs."""
        if not self.trusted:
            return None
        with self._check_out_anew(commit, spec) as checkout:
            said = dict(_list_overrides(checkout, spec, ()))
            return observe_publishers_of(checkout, spec.path, said, calls)

    def _observe(self, commit: str, spec: File, schedules: list[str]) -> list[History] | None:
        """None where nobody agreed that it runs."""
        if not self.trusted:
            return None
        with self._check_out_anew(commit, spec) as checkout:
            said = dict(_list_overrides(checkout, spec, ()))
            return observe_job(checkout, spec.path, said, schedules)

    def _observe_in_worlds(self, commit: str, spec: File) -> dict[str, list[History]] | None:
        """None where nobody agreed that it runs."""
        if not self.trusted:
            return None
        with self._check_out_anew(commit, spec) as checkout:
            said = dict(_list_overrides(checkout, spec, ()))
            return observe_job_in_worlds(checkout, spec.path, said)

    @contextlib.contextmanager
    def _check_out_anew(self, commit: str, spec: File) -> Iterator[Checkout]:
        with clean_checkout(self.repo, commit, _list_interpreters([spec])) as checkout:
            _begin_anew(checkout, spec)
            yield checkout

    def try_deploys(self, old: File, spec: File) -> Deploys | None:
        """None where nobody agreed that it runs, or where a side has no proof."""
        if not self.trusted:
            return None
        base = self.base.commit or self.commit
        environ = dict(os.environ)
        with (
            clean_checkout(self.repo, base, _list_interpreters([old]), environ) as before,
            clean_checkout(self.repo, self.commit, self.pythons, environ) as after,
        ):
            _begin_anew(after, spec)
            targets = []
            for checkout, file in ((before, old), (after, spec)):
                said = dict(_list_overrides(checkout, file, ()))
                try:
                    targets.append(find_target(checkout, file.path, said))
                except SkillrunError:
                    return None
            return try_deploys(*targets)


def _judge_job(job: Job, spec: File, diff: Diff, sides: _Sides | None) -> Job:
    """What its proof came to, beside the base's, and in a world that the spec does not speak of.
    `sides` None: there is no other commit.
    """
    if sides is None:
        return judge_proof(job, spec, diff, None)
    job = judge_proof(job, spec, diff, sides.prove_base)
    job = judge_settings(job, spec, diff, sides.prove_with)
    job = judge_sweeps(job, spec, diff, sides.prove_saying)
    job = judge_runs(job, spec, diff, sides.observe_base, sides.observe_head)
    job = judge_rows(job, spec, diff, sides.observe_base_in_worlds, sides.observe_head_in_worlds)
    publishers = (sides.observe_base_publishers, sides.observe_head_publishers)
    job = judge_publishers(job, spec, diff, *publishers)
    return judge_deploys(job, spec, diff, sides.try_deploys)


def _what_to_verify(repo: Repo) -> tuple[str, tuple[str, ...]]:
    """(commit, paths of its specs)."""
    if repo.head is None:
        raise Blocked(
            f"{repo.root}: there is no commit yet",
            hint="commit the job spec and the code, then verify",
        )
    paths = committed_specs(repo.root, repo.head)
    if not paths:
        hint = "write one with skillrun spec init, and commit it"
        raise Blocked(f"{repo.root}: HEAD holds no job spec in .skillrun/jobs/", hint=hint)
    return repo.head, paths


def covers_verification(repo: Repo, *, trust: bool) -> bool:
    """Whether what HEAD holds may run: somebody allowed this very HEAD here, or says --trust or
    --ci now, which of an agent counts where a person allowed it.

    Asked of the user's own state folder; the verification itself has an empty one.
    """
    from skillrun.core.actor import who
    from skillrun.validations.consent import Consent

    consent = Consent(repo)
    return consent.covers_head() or (trust and consent.accepts_trust(who()))


def _ask_once(
    repo: Repo,
    checkout: Checkout,
    specs: Mapping[str, File],
    *,
    has_other: bool,
    watcher: Watcher,
) -> bool:
    """Whether a person agrees to everything that would run: one question for all specs, the base
    and the counts.
    """
    from skillrun.validations.consent import Question

    plans: list[CommandPlan] = []
    for path in specs:
        for plan in _list_plans(checkout, path):
            commands = []
            for line in plan.commands:
                # As a person would type it: the clean checkout is gone by then.
                commands.append(line.replace(str(checkout.root), str(repo.root)))
            plans.append(CommandPlan(plan.purpose, tuple(commands)))
    if has_other:
        plans.append(COUNTING)
    distinct = tuple(dict.fromkeys(plans))
    return watcher.may_run(Question(repo.root, repo.head, distinct)) is not None


def _list_plans(checkout: Checkout, spec: str) -> list[CommandPlan]:
    """What would run for one spec of HEAD. One that cannot be read runs nothing."""
    from skillrun.runner.advance import list_command_plans

    request = _request_of(checkout, spec, checkout.ledgers / "asked.db")
    try:
        return list_command_plans(request)
    except SkillrunError:
        return []


def _allow_checkout(checkout: Checkout) -> None:
    """Gives consent for the clean checkout, in the state folder that goes with it."""
    from skillrun.validations.consent import TRUST, Consent

    Consent(open_repo(checkout.root)).give(TRUST)


def _list_interpreters(specs: Iterable[File]) -> Iterator[str]:
    """The interpreters that the specs name by a path in the repository."""
    for file in specs:
        if not file.new_document:
            continue
        python = at(file.new_document.value, "proof", "python")
        if isinstance(python, str) and "/" in python:
            yield python


# -- one job


def _run_job(
    checkout: Checkout,
    spec: File,
    stray: tuple[Given, ...],
    watcher: Watcher,
    around: Surroundings,
    *,
    trusted: bool,
    until: str | None = None,
    said: Mapping[str, str] | None = None,
    watch: DebtWatch | None = None,
) -> Job:
    """Its run from the first stage to the last; what is refused is said in the job, and the others
    go on. `said`: what its spec says besides, as --set would have it.
    """
    from skillrun.runner.advance import advance

    ledger = _begin_anew(checkout, spec)
    if trusted:
        _allow_checkout(checkout)
    try:
        sha = sha256(read_file(checkout.root / spec.path))
    except OSError as error:
        return _refuse_unreadable(spec, error)
    overrides = dict(_list_overrides(checkout, spec, stray)) | dict(said or {})
    request = replace(_request_of(checkout, spec.path, ledger), overrides=overrides, until=until)
    guard = Guard(watcher, checkout.contents, checkout.strays, around)
    watch = watch or DebtWatch({})
    away = {f"{checkout.root}/": "", str(checkout.root): ".", str(request.skill_path): "SKILL.md"}
    try:
        report = advance(request, guard, is_agreed=watch.is_agreed)
        guard.compare_all()
    except SkillrunError as error:
        problem, hint = _without_paths(error.message, away), _without_paths(error.hint, away)
        return Job(spec.path, sha, spec.path, "refused", problem=problem, hint=hint)
    believed = disbelieve(report, guard.found)
    kept = {key: _without_paths(believed[key], away) for key in _KEPT}
    stories = _without_paths(watch.stories, away)
    name, outcome = report["run"]["job"], believed["outcome"]
    return Job(spec.path, sha, name, outcome, kept, stories=stories)


def _request_of(checkout: Checkout, spec: str, ledger: Path) -> Request:
    """With the bundled skill, whatever copy the repository or the home folder holds: it cannot be
    weakened.
    """
    from skillrun.contract.locate import bundled_skill
    from skillrun.runner.target import Request

    return Request(
        skill=SKILL.name,
        repo=checkout.root,
        spec=checkout.root / spec,
        skill_path=bundled_skill(SKILL.name),
        ledger=ledger,
    )


def _refuse_unreadable(spec: File, error: OSError) -> Job:
    problem = f"{spec.path}: cannot be read: {error.strerror}"
    hint = "commit the spec as a file of its own"
    return Job(spec.path, sha256(b""), spec.path, "refused", problem=problem, hint=hint)


def _prove_job(
    checkout: Checkout,
    spec: File,
    stray: tuple[Given, ...],
    watcher: Watcher,
    around: Surroundings,
    *,
    trusted: bool,
    said: Mapping[str, str],
) -> Job:
    """Its run as far as a proof speaks of it."""
    until = _BEHIND_PROOF
    return _run_job(checkout, spec, stray, watcher, around, trusted=trusted, until=until, said=said)


def _begin_anew(checkout: Checkout, spec: File) -> Path:
    """The ledger of a job, which is not there yet, as nothing of another one's state is."""
    # What the job before ran could have left a kept proof of this one, a key, or a ledger with
    # signed events.
    shutil.rmtree(state_dir(), ignore_errors=True)
    shutil.rmtree(checkout.ledgers, ignore_errors=True)
    checkout.ledgers.mkdir(exist_ok=True)
    return checkout.ledgers / f"{sha256(os.fsencode(spec.path))[:16]}.db"


def _prove_base(
    repo: Repo,
    base: Base,
    diff: Diff,
    spec: File,
    watcher: Watcher,
    around: Surroundings,
    *,
    trusted: bool,
) -> BaseProof:
    """The base's spec of a job, run on the base's code as far as a proof speaks of it.

    No anchor stands for it: what one holds is the head of somebody's ledger, and to learn a verdict
    from that, the ledger would have to be believed.
    """
    began = time.monotonic()
    commit = base.commit or ""
    old = base_file(diff, spec)
    with clean_checkout(repo, commit, _list_interpreters([old])) as checkout:
        job = _prove_job(checkout, old, (), watcher, around, trusted=trusted, said={})
    return BaseProof(
        commit=commit,
        verdict=verdict_of(job),
        proved=proved_stages(job),
        risks=tuple(list_risks(job)),
        why=next(iter(why_not_proved(job)), None),
        duration_ms=int((time.monotonic() - began) * 1000),
    )


def _list_overrides(
    checkout: Checkout, spec: File, stray: tuple[Given, ...]
) -> Iterator[tuple[str, str]]:
    """What differs from the spec as it is written, as --set would say it."""
    if stray:
        yield "waivers", _counting_waivers(spec, stray)
    proof = at(spec.new_document.value, "proof") if spec.new_document else None
    # A proof has a clean environment, without the variables of ours.
    if checkout.python_path and isinstance(proof, dict):
        path = [checkout.python_path, *filter(None, [at(proof, "env", "PYTHONPATH")])]
        yield "proof.env.PYTHONPATH", json.dumps(os.pathsep.join(map(str, path)))


def _counting_waivers(spec: File, stray: tuple[Given, ...]) -> str:
    """The waivers that count, as the value of --set waivers=."""
    counting = []
    for waiver in waivers_of(spec.new_document):
        if waiver not in stray:
            counting.append(waiver.raw)
    return json.dumps(counting)


def _without_paths(value: Any, away: Mapping[str, str]) -> Any:
    """The value without the paths of the temporary folder: they mean nothing to a reader, and
    change each time.
    """
    if isinstance(value, str):
        for path, instead in away.items():
            value = value.replace(path, instead)
        return value
    if isinstance(value, Mapping):
        return {key: _without_paths(member, away) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(member, away) for member in value]
    return value


# -- what was not run


def _find_stray_waivers(diff: Diff, spec: File, base: Base) -> tuple[Given, ...]:
    """The waivers that do not count. Without a base none does."""
    held_by = base_document(diff, spec) if base.commit else None
    return not_held(spec.new_document, held_by)


def _look_at_branch(base: Base, diff: Diff) -> Gaming:
    from skillrun.wall.gaming.registry import LOOKS

    if base.commit is None:
        return Gaming(base_name=base.name, missing=base.missing, hint=base.hint)
    found: list[Finding] = []
    for look in LOOKS:
        found += look.find(diff)
    looked = tuple(look.id for look in LOOKS)
    # Each once: two looks may come upon the same line.
    return Gaming(base.commit, base.name, looked, tuple(dict.fromkeys(found)))


def _count_tests(
    repo: Repo,
    base: Base,
    commit: str,
    diff: Diff,
    watcher: Watcher,
    around: Surroundings,
    *,
    trusted: bool,
) -> Tests:
    """The tests of both sides, run by us, or why they are not counted; and what the other checks
    find.
    """
    from skillrun.wall.counting.count import Sides, count_both
    from skillrun.wall.planting.compare import ask_checks

    if base.commit is None:
        return Tests(missing="there is no base to compare with")
    if base.commit == commit:
        return Tests(missing="HEAD is the base")
    if not trusted:
        return Tests(missing="nobody has allowed it yet: --trust, or --ci")
    watcher.runs(COUNTING)
    pythons = tuple(_list_interpreters(diff.specs))
    sides = Sides(repo, base.commit, commit, pythons, watcher.output, around)
    tests = count_both(sides, diff)
    return replace(tests, findings=(*tests.findings, *ask_checks(sides, diff)))


def _with_changes(tests: Tests, around: Surroundings) -> Tests:
    """With what has changed by the end: whatever was said before may rest on it."""
    found = (*around.find_changes(), *tests.findings)
    return replace(tests, findings=tuple(dict.fromkeys(found)))


def _list_notes(
    repo: Repo, base: Base, stray: Mapping[str, tuple[Given, ...]], debt: BaseDebt
) -> Iterator[str]:
    if debt.note is not None:
        yield debt.note
    dirty = count_uncommitted(repo)
    if dirty:
        noun = "change is" if dirty == 1 else "changes are"
        yield f"{dirty} uncommitted {noun} not looked at: only what HEAD holds was verified"
    if base.commit is None and any(stray.values()):
        yield "the waivers of the specs do not count: there is no base branch that holds them"
    if b".gitmodules\0" in git_output(repo.root, "ls-tree", "-z", "--name-only", "HEAD"):
        yield "submodules are not checked out in the clean worktree"


def _own_version() -> str:
    from skillrun import __version__

    return __version__
