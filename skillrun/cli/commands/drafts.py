"""Drafted specs: from the code of a job and from its own tests, which are run in a copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked, Misuse
from skillrun.core.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skillrun.proof.fixtures.watch import Watched
    from skillrun.proof.result import DoubtfulEffect, Proof, Target
    from skillrun.repo.git import Repo
    from skillrun.reports.watchers import Silent
    from skillrun.skills.job_worker.drafting.draft import Draft
    from skillrun.skills.job_worker.drafting.watching import Fixtures
    from skillrun.skills.job_worker.overview.handlers import FoundJob
    from skillrun.skills.job_worker.overview.rows import JobReader
    from skillrun.validations.consent import CommandPlan


_MOST_EXAMPLES = 3  # that are left for another one
_OF_AN_EXAMPLE = ("single-run", "state.idle")


@dataclass(frozen=True)
class Drafted:
    """A spec in the state folder, and what it assumes."""

    handler: str
    path: Path
    guesses: tuple[str, ...]
    unpromised: frozenset[str]
    sweepers: tuple[str, ...] = ()
    doubtful: tuple[DoubtfulEffect, ...] = ()
    guessed_errors: frozenset[str] = frozenset()
    root: Path = Path()
    content: str = ""  # digest of everything in the repository when it was drafted

    def keep_verdict(self, verdict: str) -> None:
        """Has `skillrun jobs` know what a whole proof of it came to."""
        from skillrun.skills.job_worker.overview.draft_verdicts import keep_draft_verdict

        keep_draft_verdict(self.root, self.handler, verdict, self.content)

    def limit(self, target: Target) -> Target:
        """Decides less than a spec that somebody has agreed to."""
        return replace(
            target,
            unpromised=self.unpromised,
            sweepers=self.sweepers,
            doubtful=self.doubtful,
            guessed_errors=self.guessed_errors,
        )

    def document(self) -> dict[str, Any]:
        """As proof.v1 has it."""
        from skillrun.core.text import masked

        text = masked(self.path.read_text("utf-8"))
        return {"spec": text, "guesses": [visible(guess, limit=200) for guess in self.guesses]}


def find_the_job(reader: JobReader, name: str) -> FoundJob:
    """Raises Misuse for a job that is not there, with the names of those that are."""
    job = reader.find_job(name)
    if job is None:
        hint = f"jobs here: {', '.join(one.handler.import_path for one in reader.jobs)}"
        if not reader.jobs:
            hint = (
                "no job was found here (skillrun jobs: what was looked for); name this one in a"
                f" spec: skillrun spec init --set job=NAME --set handler={visible(name)}"
            )
        raise Misuse(f"{visible(name)}: no job is called so", hint=hint)
    return job


@dataclass(frozen=True)
class _Trials:
    """One schedule of the draft as it is so far, with what `--set` says of it."""

    repo: Path
    overrides: Mapping[str, str]

    def run(self, spec: Path, schedule: str) -> Proof:
        from skillrun.cli.commands.case import open_case
        from skillrun.proof.attempt import try_prove
        from skillrun.skills.job_worker.proving.proof_targets import proof_target

        case = open_case(self.repo, spec, dict(self.overrides))
        return try_prove(proof_target(case), only=schedule, workers=1)


def draft_for(
    repo: Path, name: str, watcher: Silent, trust: bool, overrides: Mapping[str, str] | None = None
) -> Drafted:
    """Watches the tests of the job and writes the draft outside of the repository. `overrides`: of
    the spec, by a person; its tests run with that `proof.python`, too.

    Raises Misuse for a job that is not there, Blocked where nobody has allowed its tests to run.
    """
    from skillrun.cli.commands.jobs import open_reader
    from skillrun.skills.job_worker.drafting.sweepers import find_sweepers
    from skillrun.skills.job_worker.drafting.watching import plan_watching

    reader = open_reader(repo)
    job = find_the_job(reader, name)
    trials = _Trials(repo, overrides or {})
    content = reader.tree.hash_everything()
    watched = plan_watching(reader, job, trials.overrides.get("proof.python"))
    _ask_to_prove(reader.repo, watched, job, watcher, trust)
    draft, fixtures, path = _choose_draft(trials, reader, job, watched)
    _try_draft(trials, path, draft, fixtures)
    return Drafted(
        job.handler.import_path,
        path,
        tuple(draft.guesses),
        draft.list_unpromised(),
        find_sweepers(reader, job),
        draft.list_doubtful(),
        frozenset(draft.guessed_errors),
        reader.repo.root,
        content,
    )


def _try_draft(trials: _Trials, path: Path, draft: Draft, fixtures: Fixtures | None) -> None:
    """Writes the draft with what single runs of the job show, and no test."""
    from skillrun.skills.job_worker.drafting.annotated import write_annotated
    from skillrun.skills.job_worker.drafting.classify import (
        choose_broker,
        classify_effects,
        classify_errors,
    )
    from skillrun.skills.job_worker.drafting.fitting import fit_draft

    proofs: list[Proof] = []

    def prove(schedule: str) -> Proof:
        _write(path, write_annotated(draft))
        proofs.append(trials.run(path, schedule))
        return proofs[-1]

    def can_start() -> bool:
        # What cannot be started shows nothing of itself, however often it is tried.
        return not proofs or proofs[-1].reference is not None

    choose_broker(draft, prove)
    fit_draft(draft, prove)
    _write(path, write_annotated(draft))
    for classify in (classify_errors, classify_effects):
        if can_start() and classify(draft, prove):
            _write(path, write_annotated(draft))
    if can_start():
        _add_second_jobs(trials, path, draft, fixtures)


def _choose_draft(
    trials: _Trials, reader: JobReader, job: FoundJob, watched: Watched
) -> tuple[Draft, Fixtures | None, Path]:
    """With the example that the tests show best; where the job does not run through with it, the
    next one with which it does.
    """
    from skillrun.skills.job_worker.drafting.watching import draft_observed, remember_watching

    watch = remember_watching()
    failed: list[str] = []

    def write_draft() -> tuple[Draft, Fixtures | None, Path]:
        draft, fixtures = draft_observed(reader, job, watched, watch, without=failed)
        _check_message(draft, job)
        return draft, fixtures, _keep_draft(draft, fixtures, reader.repo.root)

    found = write_draft()
    if not found[0].has_other_examples:
        return found
    while not _runs_through(trials.run(found[2], "once")):
        failed.append(found[0].example_test)
        if not found[0].has_other_examples or len(failed) > _MOST_EXAMPLES:
            # What is said of the best one says most.
            failed.clear()
            return write_draft()
        found = write_draft()
    if failed:
        said = f"payload: with that of {failed[0]} the job does not run through here"
        found[0].guesses.append(said)
    return found


def _keep_draft(draft: Draft, fixtures: Fixtures | None, root: Path) -> Path:
    """Where it was written: two jobs of one name, also of two repositories, may be drafted at
    once.
    """
    from skillrun.core.canonical import digest
    from skillrun.core.state import state_dir
    from skillrun.skills.job_worker.drafting.annotated import write_annotated

    draft.drop_blanks()
    _keep_fixtures(draft, fixtures)
    whose = digest([str(root), draft.values["handler"]])[:12]
    path = state_dir() / "drafts" / f"{draft.values['job']}-{whose}.yaml"
    _write(path, write_annotated(draft))
    return path


def _runs_through(proof: Proof) -> bool:
    """Whether nothing is wrong that another message or other rows would mend."""
    return not any(one.rule in _OF_AN_EXAMPLE for one in proof.incomplete)


def _keep_fixtures(draft: Draft, fixtures: Fixtures | None) -> None:
    """Writes the rows where a proof of the draft finds them."""
    from skillrun.proof.fixtures.load import fixtures_folder
    from skillrun.skills.job_worker.drafting.watching import add_fixture

    if fixtures is not None:
        file = fixtures_folder() / f"{fixtures.sha256}.sql"
        _write(file, fixtures.script)
        add_fixture(draft, fixtures, str(file))


def _add_second_jobs(trials: _Trials, path: Path, draft: Draft, fixtures: Fixtures | None) -> None:
    """Writes the draft with those of its second jobs that a run of their own shows to be such."""
    from skillrun.skills.job_worker.drafting.annotated import write_annotated
    from skillrun.skills.job_worker.drafting.classify import keep_second_jobs

    if not draft.second_jobs:
        return
    first, *known = draft.values["payload"]["examples"]
    made = [dict(job.payload) for job in draft.second_jobs]
    draft.values["payload"]["examples"] = [first, *made, *known]
    if fixtures is not None:
        _keep_fixtures(draft, fixtures.add_rows(draft.second_jobs))
    _write(path, write_annotated(draft))
    kept = keep_second_jobs(draft, trials.run(path, "once").reference)
    if fixtures is not None:
        _keep_fixtures(draft, fixtures.add_rows(kept))
    _write(path, write_annotated(draft))


def _check_message(draft: Draft, job: FoundJob) -> None:
    """Raises Blocked where neither the code nor a test says what a message looks like."""
    payload = draft.values.get("payload")
    if payload is not None and payload["examples"]:
        return
    why = "the code does not show one"
    for guess in draft.guesses:
        if guess.startswith("payload, setup, state:"):
            why = guess.rpartition("the code alone: ")[2]
    command = f"skillrun spec init --from {job.handler.import_path}"
    raise Blocked(
        f"no message of {job.handler.import_path} is known: {why}",
        hint=f"mend that, or draft it and name payload.examples: {command}",
    )


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _ask_to_prove(
    repo: Repo, watched: Watched, job: FoundJob, watcher: Silent, trust: bool
) -> None:
    """Raises Blocked where nobody has allowed code of this working tree to run."""
    from skillrun.runner.case import AGREE
    from skillrun.validations.consent import CommandPlan, Gate

    handled = f"{job.handler.import_path}   under fault injection, many times"
    commands = (*plan_tests(watched).commands, handled)
    purpose = "run the tests of the job, and prove it in a scratch folder"
    plan = CommandPlan(purpose, commands)
    if Gate(repo, trust, watcher).allows(plan):
        return
    lines = "".join(f"\n  {command}" for command in plan.shown)
    raise Blocked(f"not allowed yet to {plan.purpose}; it would run:{lines}", hint=AGREE)


def plan_tests(watched: Watched) -> CommandPlan:
    """What somebody agrees to before the tests are run."""
    from skillrun.skills.job_worker.drafting.watching import list_part_tests
    from skillrun.validations.consent import CommandPlan

    commands: list[str] = []
    if watched.tests:
        commands.append(f"pytest {' '.join(watched.tests)}   in a copy, watched")
    further = set(list_part_tests(watched)) - set(watched.tests)
    if further:
        said = "in a copy, watched, where the others show no delivery"
        commands.append(f"pytest {' '.join(sorted(further))}   {said}")
    if set(watched.others) - further:
        commands.append(
            "pytest, all other tests   in a copy, watched, where these show none either"
        )
    return CommandPlan("run the tests of the job in a scratch folder", tuple(commands))
