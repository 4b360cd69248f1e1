"""One invocation: goes as far as it can, commits each stage before the next begins, and reports
every problem.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from skillrun import __version__
from skillrun.actor import Actor, host_id, who
from skillrun.errors import Blocked, Misuse, Refused, RepoUnusable
from skillrun.ledger.rows import NewEvent, RunStart, Telemetry
from skillrun.lock import RunLock
from skillrun.repo.git import Snapshot, snapshot, touched
from skillrun.runner.repeat import Seen, elapsed_ms, find_settled, repeat, telemetry_json
from skillrun.runner.signing import find_tampering, is_proof_recorded, keep_signed, sign_event
from skillrun.runner.target import (
    Request,
    Target,
    lock_path,
    open_ledger,
    patience_s,
    prepare_ledger_folder,
    shown,
)
from skillrun.runner.written import settle
from skillrun.tally import count_stages
from skillrun.text import masked_json, visible

if TYPE_CHECKING:
    from pathlib import Path

    from skillrun.contract.skill import Skill
    from skillrun.contract.spec import JobSpec
    from skillrun.ledger.store import Ledger
    from skillrun.runner.options import Waiver
    from skillrun.runner.walk import Walk
    from skillrun.stages.conclude import CheckResult, Recommendation
    from skillrun.stages.interface import Attestation, Case
    from skillrun.stages.registry import Planned
    from skillrun.validations.consent import CommandPlan, Gate, Question
    from skillrun.verdict import Finding, StageResult

NO_JOB = "-"


class Watcher(Protocol):
    """Who looks on while a run advances, and who is asked."""

    def begins(self, header: Mapping[str, Any], stages: list[tuple[str, str]]) -> None:
        """The run is known; these stages (id, title) follow."""

    def stage_begins(self, stage: str) -> None: ...

    def stage_ends(self, stage: Mapping[str, Any]) -> None:
        """A stage of the report."""

    def output(self, line: str) -> None:
        """A line that a running command printed, masked and safe to show."""

    def waits(self, holder: str) -> None:
        """Another invocation of the same run is at work."""

    def may_run(self, question: Question) -> str | None:
        """Asks a person; the means by which the answer was yes, or None."""

    def runs(self, plan: CommandPlan) -> None:
        """Code of the repository runs now, which somebody has allowed."""


def advance(
    request: Request, watcher: Watcher, after_proof: Callable[[Case], None] | None = None
) -> dict[str, Any]:
    """Advances the run of a skill on a job and returns the report (report.v1).

    `after_proof` is called once a proof has run, before the stages that it does not speak of: what
    it writes, they see.

    Raises SkillrunError for what is refused or misused; then nothing was written.
    """
    started = time.monotonic()
    seen = Seen.of(request)
    _check_state_folder(seen.target)
    target, known = seen.target, find_settled(seen)
    inputs = None if known else _Inputs.read(seen)
    identity = (known["skill"], known["job"]) if known else inputs.identity if inputs else ()
    prepare_ledger_folder(target.repo, target.ledger_path)
    with open_ledger(target.ledger_path) as ledger, RunLock(lock_path(target, identity)) as lock:
        if _take(lock, watcher):
            seen, inputs = (
                Seen.of(request),
                None,
            )  # the other one, or a person meanwhile, may have changed things
        settle(ledger, target.ledger_path, target.repo.root)
        if inputs is None:
            report = repeat(ledger, seen, started)
            if report is not None:
                return report
            inputs = _Inputs.read(seen)
        return _Invocation(seen, inputs, ledger, watcher, started, after_proof).go()


def _check_state_folder(target: Target) -> None:
    """Raises Blocked where the state folder lies in the repository: its key and answers could have
    come with it.
    """
    from skillrun.state import lies_in, state_dir

    folder = state_dir()
    if lies_in(folder, target.repo.root):
        hint = "set SKILLRUN_STATE_DIR to a folder outside the repository that you can write"
        raise Blocked(
            f"{folder}: skillrun's state folder lies in the repository, so nothing in it counts",
            hint=hint,
        )


def _take(lock: RunLock, watcher: Watcher) -> bool:
    """Takes the lock; whether that took a wait. Raises Refused where the other one holds it for too
    long.
    """
    if lock.acquire(0.0):
        return False
    holder = lock.holder()
    watcher.waits(holder)
    if not lock.acquire(patience_s()):
        raise Refused(
            f"another invocation of this run is at work: {holder}",
            hint="wait for it, or end that process",
        )
    return True


@dataclass
class _Inputs:
    """All that can be refused, read before anything is written."""

    skill: Skill
    spec: JobSpec | None
    job: str
    planned: tuple[Planned, ...]
    missing_steps: tuple[Finding, ...]
    attested: Mapping[str, Attestation]  # on this command line

    @classmethod
    def read(cls, seen: Seen) -> _Inputs:
        """Raises what is refused, and Misuse for options that name what is not there."""
        from skillrun.contract.skill import load_skill
        from skillrun.repo.profile import load_profile
        from skillrun.runner.options import (
            check_spec_waivers,
            check_waivers,
            check_waiving_actor,
            new_attestations,
        )
        from skillrun.stages.conclude import CHECKS, STATE_MACHINE
        from skillrun.stages.registry import match_stages
        from skillrun.validations.consent import Consent

        request, target = seen.request, seen.target
        skill = load_skill(target.skill_file)
        spec = read_spec(skill, request, target.spec_file, target.repo.root)
        load_profile(target.repo.root)  # one that cannot be read is refused here
        # Never by the profile: an agent can edit it, and a clone brings it along.
        allowed = Consent(target.repo).read().agent_waivers
        check_waiving_actor(request, who(), allowed)
        if spec is not None and spec.waivers:
            check_spec_waivers(spec, _committed(target), who(), allowed)
        planned, missing = match_stages(skill)
        known = {p.stage.ID for p in planned} | {rule.id for rule in CHECKS.get(skill.name, ())}
        attestable = _attestable(skill, planned)
        known |= {STATE_MACHINE, *_sibling_skills(), *attestable}
        check_waivers(request.waive, known, "--waive")
        given = {w.item: w.reason for w in (spec.waivers if spec else None) or ()}
        check_waivers(given, known, target.spec_name or "spec")
        _check_until(request.until, planned)
        job = spec.job if spec and (target.spec_file or "job" in request.overrides) else NO_JOB
        return cls(
            skill, spec, job, planned, missing, new_attestations(request, seen.tree, attestable)
        )

    @property
    def identity(self) -> tuple[str, str]:
        """What makes a run the same one, within a repository."""
        return self.skill.id, self.job


def case_of(request: Request) -> Case:
    """What the stages of a run would see now. Raises as `advance` does; nothing is written."""
    from skillrun.stages.interface import Case

    seen = Seen.of(request)
    inputs = _Inputs.read(seen)
    is_recorded = partial(_is_recorded_in, seen.target.ledger_path)
    return Case(inputs.skill, inputs.spec, seen.target.repo, seen.tree, is_recorded=is_recorded)


def _is_recorded_in(ledger_path: Path, sha: str) -> bool:
    """Whether a ledger file says that a proof of this digest was kept. Never creates one."""
    from skillrun.ledger.connection import is_ledger_file

    if not is_ledger_file(ledger_path):
        return False
    with open_ledger(ledger_path, read_only=True) as ledger:
        return is_proof_recorded(ledger, sha)


def _committed(target: Target) -> bytes | None:
    """The spec's text in HEAD; None where it is not there."""
    from skillrun.repo.git import run_git

    if target.spec_name is None or target.repo.head is None:
        return None
    done = run_git(target.repo.root, "cat-file", "blob", f"HEAD:{target.spec_name}")
    return done.stdout if done.returncode == 0 else None


def read_spec(skill: Skill, request: Request, file: Path | None, root: Path) -> JobSpec | None:
    """The job spec with --set in it; without a file, one of --set alone for a skill that needs only
    inputs.
    """
    from skillrun.stages.registry import STAGES

    if file is None and not request.overrides:
        return None
    from skillrun.contract.spec import load_spec, spec_from_settings

    if file is not None:
        return load_spec(file, overrides=request.overrides, root=root)
    if skill.name in STAGES:
        raise Misuse(
            "--set: there is no job spec here to set anything in",
            hint="write one with skillrun spec init --set",
        )
    return spec_from_settings(request.overrides)


def _attestable(skill: Skill, planned: tuple[Planned, ...]) -> set[str]:
    """The steps and checks that no code answers to."""
    from skillrun.stages.conclude import assign_checks
    from skillrun.stages.declared import DeclaredStage

    checks = [answer for _, _, answer in assign_checks(skill, {p.stage.ID for p in planned})]
    return {
        stage.ID
        for stage in (*(p.stage for p in planned), *checks)
        if isinstance(stage, DeclaredStage)
    }


def _sibling_skills() -> set[str]:
    from skillrun.stages.clients import INTEGRATION
    from skillrun.stages.effects import DOMAIN, PERSISTENCE

    return {DOMAIN, INTEGRATION, PERSISTENCE, "personalize-repo"}


def _check_until(until: str | None, planned: tuple[Planned, ...]) -> None:
    from skillrun.errors import Misuse

    ids = [p.stage.ID for p in planned]
    if until is not None and until not in ids:
        raise Misuse(f"--until {until}: no such stage", hint=f"the stages are: {', '.join(ids)}")


@dataclass
class _Invocation:
    seen: Seen
    inputs: _Inputs
    ledger: Ledger
    watcher: Watcher
    started: float
    after_proof: Callable[[Case], None] | None = None
    actor: Actor = field(default_factory=who)
    walk: Walk | None = None

    def go(self) -> dict[str, Any]:
        from skillrun.stages.interface import Case

        self.run = self._resume() or self._start()
        self.run_id: str = self.run["run_id"]
        self._close_interrupted()
        self.invocation: int = self.run["invocations"] + 1
        self.case = Case(
            self.inputs.skill,
            self.inputs.spec,
            self.target.repo,
            self.seen.tree,
            on_output=self.watcher.output,
            consent=self._make_gate().allows,
            is_recorded=partial(is_proof_recorded, self.ledger),
        )
        self._record_words()
        self.watcher.begins(
            self._header(), [(p.stage.ID, p.stage.TITLE) for p in self.inputs.planned]
        )
        self._through_the_stages()
        return self._conclude()

    # -- beginning

    @property
    def request(self) -> Request:
        return self.seen.request

    @property
    def target(self) -> Target:
        return self.seen.target

    @property
    def job(self) -> str:
        return self.inputs.job

    def _resume(self) -> dict[str, Any] | None:
        if self.request.new_run:
            return None
        run = self.ledger.latest_run(self.inputs.skill.id, self.job, self.target.repo_name)
        wrong = find_tampering(self.ledger, run["run_id"]) if run is not None else None
        if run is None or wrong is None:
            return run
        said = (
            f"the run {run['run_id']} is not as it was written ({visible(wrong)}): nothing of it is"
            " believed"
        )
        print(f"skillrun: {said}, and a new one begins", file=sys.stderr, flush=True)
        return None

    def _start(self) -> dict[str, Any]:
        base = snapshot(self.target.repo)
        skill, actor, repo = self.inputs.skill, self.actor, self.target.repo
        run_id = self.ledger.start_run(
            RunStart(
                skill.id,
                skill.name,
                skill.sha256,
                self.job,
                self.target.spec_name,
                self.target.repo_name,
                repo.head,
                bool(base.dirty),
                actor.name,
                str(actor.kind),
                actor.agent,
                host_id(),
                __version__,
                base.as_json(),
            )
        )
        return self.ledger.run(run_id)

    def _close_interrupted(self) -> None:
        """An invocation that died without its row gets one: partial, interrupted."""
        for number in self.ledger.open_invocations(self.run_id):
            row = self._telemetry(
                number, "partial", [], None, {"interrupted": True}, duration_ms=None
            )
            event = NewEvent(
                "invocation.interrupted",
                outcome="partial",
                actor=self.actor.name,
                actor_kind=self.actor.kind,
                invocation=number,
            )
            self.ledger.append(self.run_id, [event], telemetry=row)
        self.run = self.ledger.run(self.run_id)

    def _record_words(self) -> None:
        """The invocation's first events: that it began, and what somebody said on its command
        line.
        """
        from skillrun.runner.options import recorded_attestations, waivers

        earlier = keep_signed(self.ledger.events(self.run_id, type="waiver.given"))
        self.waivers: dict[str, Waiver] = waivers(
            self.inputs.spec, self.request, earlier, self.actor
        )
        events = [self._event("invocation.started", data=self.seen.options())]
        recorded = {(e["data"]["item"], e["data"]["reason"], e["data"]["from"]) for e in earlier}
        for w in self.waivers.values():
            # As the ledger keeps it: with a secret masked, which it was the last time as well.
            said = masked_json({"item": w.item, "reason": w.reason, "by": w.by, "from": w.source})
            if (said["item"], said["reason"], said["from"]) not in recorded:
                events.append(self._event("waiver.given", data=said))
        events += [
            self._event(
                "attestation.given",
                data={"step": a.step, "statement": a.statement, "evidence": dict(a.evidence)},
            )
            for a in self.inputs.attested.values()
        ]
        self.ledger.append(self.run_id, events)
        attested = keep_signed(self.ledger.events(self.run_id, type="attestation.given"))
        self.case.attestations = recorded_attestations(attested)

    def _event(self, type: str, **fields: Any) -> NewEvent:
        event = NewEvent(
            type,
            actor=self.actor.name,
            actor_kind=str(self.actor.kind),
            invocation=self.invocation,
            **fields,
        )
        return sign_event(self.run_id, event)

    def _make_gate(self) -> Gate:
        """What stands before code of the repository in this invocation; a new yes is an event of
        the run.
        """
        from skillrun.validations.consent import Gate

        return Gate(
            self.target.repo,
            self.request.trust,
            self.watcher,
            plans=self._list_plans,
            on_given=self._record_consent,
            actor=self.actor,
        )

    def _list_plans(self) -> list[CommandPlan]:
        """Looked for in a tree of its own: what is read for a question is no look-up of the stage
        that asks.
        """
        from skillrun.stages.commands import list_command_plans

        return list_command_plans(case_of(self.request))

    def _record_consent(self, how: str, commands: tuple[str, ...]) -> None:
        data = {"how": how, "commit": self.target.repo.head, "commands": list(commands)}
        self.ledger.append(self.run_id, [self._event("consent.given", data=data)])

    @property
    def results(self) -> dict[str, StageResult]:
        """What the stages have concluded so far."""
        return self.walk.results if self.walk is not None else {}

    def _through_the_stages(self) -> None:
        from skillrun.runner.walk import Walk

        skill_file = shown(self.target.repo.root, self.target.skill_file)
        walk = Walk(
            self.case,
            self.inputs.planned,
            self.inputs.missing_steps,
            skill_file,
            self.ledger,
            self.run_id,
            self._event,
            self.watcher,
            self.waivers,
            self.request.until,
            self.after_proof,
        )
        self.walk = walk
        walk.go()

    # -- the end

    def _conclude(self) -> dict[str, Any]:
        from skillrun.runner.report import next_json, recommendations_json
        from skillrun.stages.conclude import conclude_checks, recommend
        from skillrun.verdict import Status, outcome_of

        files = self._touched()
        taken, results = {p.stage.ID for p in self.inputs.planned}, self.results
        checks = [
            self._waived_check(c)
            for c in conclude_checks(self.inputs.skill, self.case, results, taken)
        ]
        checks += self._own_checks(files)
        recommendations = [
            self._waived_skill(r) for r in recommend(self.inputs.skill, self.case, self.results)
        ]
        outcome = outcome_of(
            [*(r.status for r in self.results.values()), *(c.status for c in checks)]
        )
        is_open = (Status.BLOCKED, Status.FAILED, Status.PENDING)
        open_stages = {stage for stage, r in self.results.items() if r.status in is_open}
        shown = self.walk.shown if self.walk else []
        report = {
            "schema_version": 1,
            "run": self._header(),
            "outcome": str(outcome),
            "counts": count_stages(shown, self._schedules()),
            "stages": shown,
            "checks": _checks(checks),
            "recommendations": recommendations_json(recommendations),
            "next": next_json(self.results, checks, open_stages),
        }
        return self._write(report, files, checks, outcome_settled=not self._volatile())

    def _schedules(self) -> int:
        """Under how many schedules the stages were proved that are. They share one proof, unless it
        was made again.
        """
        return max(
            (result.facts.get("schedules", 0) for result in self.results.values()), default=0
        )

    def _volatile(self) -> bool:
        """Whether a repetition could find something else in the same tree: a command that failed, a
        missing consent.
        """
        from skillrun.runner.checkpoint import is_settled
        from skillrun.verdict import Status

        costly = [p.stage.ID for p in self.inputs.planned if p.stage.COSTLY]
        failed = any(
            self.results[stage].status in (Status.FAILED, Status.BLOCKED) for stage in costly
        )
        return failed or not all(is_settled(result.facts) for result in self.results.values())

    def _touched(self) -> list[str] | None:
        """The files that differ from the tree at the run's start; None where its commit is gone."""
        try:
            files = touched(self.target.repo, Snapshot.from_json(self.run["base_tree"]))
        except RepoUnusable:
            return None
        own = self.target.own_files
        return [path for path in files if not own or not path.startswith(own)]

    def _own_checks(self, files: list[str] | None) -> list[CheckResult]:
        from skillrun.stages.conclude import skill_promises

        return skill_promises(self.inputs.skill, self.case, files)

    def _waived_check(self, check: CheckResult) -> CheckResult:
        from dataclasses import replace

        from skillrun.verdict import Status

        if check.id in self.waivers and check.status not in (Status.PASSED, Status.NOT_APPLICABLE):
            return replace(check, status=Status.WAIVED, next=None)
        return check

    def _waived_skill(self, recommendation: Recommendation) -> Recommendation:
        from dataclasses import replace

        waiver = self.waivers.get(recommendation.skill)
        return replace(recommendation, waived=waiver.reason) if waiver else recommendation

    def _write(
        self,
        report: dict[str, Any],
        files: list[str] | None,
        checks: list[CheckResult],
        *,
        outcome_settled: bool,
    ) -> dict[str, Any]:
        telemetry = self._telemetry(
            self.invocation,
            report["outcome"],
            checks,
            files,
            {},
            duration_ms=elapsed_ms(self.started),
        )
        report["telemetry"] = telemetry_json(telemetry)
        event = self._event(
            "invocation.ended",
            outcome=report["outcome"],
            dur_us=elapsed_ms(self.started) * 1000,
            data={"key": self.seen.key, "settled": outcome_settled, "report": report},
        )
        stored = self.ledger.append(
            self.run_id, [*self._recommended(report), event], telemetry=telemetry
        )
        return {**report, "ledger": {"path": str(self.target.ledger_path), "head": stored[-1].hash}}

    def _recommended(self, report: dict[str, Any]) -> list[NewEvent]:
        known = {
            e["data"]["skill"] for e in self.ledger.events(self.run_id, type="recommendation.made")
        }
        new = [r for r in report["recommendations"] if r["skill"] not in known]
        return [
            self._event("recommendation.made", data={"skill": r["skill"], "reason": r["reason"]})
            for r in new
        ]

    def _telemetry(
        self,
        invocation: int,
        outcome: str,
        checks: list[CheckResult],
        files: list[str] | None,
        fields: dict[str, Any],
        *,
        duration_ms: int | None,
    ) -> Telemetry:
        from skillrun.runner.telemetry import telemetry_row

        return telemetry_row(
            run_id=self.run_id,
            invocation=invocation,
            skill=self.inputs.skill,
            spec=self.inputs.spec,
            outcome=outcome,
            results=self.results,
            checks=checks,
            files=files,
            fields=fields,
            actor=self.actor,
            repo=self.target.repo_name,
            git_head=self.target.repo.head,
            duration_ms=duration_ms,
        )

    def _header(self) -> dict[str, Any]:
        return {
            "id": self.run_id,
            "skill": self.inputs.skill.id,
            "skill_sha": self.inputs.skill.sha256,
            "job": self.job,
            "repo": self.target.repo_name,
            "git_head": self.target.repo.head,
        }


def _checks(checks: list[CheckResult]) -> list[dict[str, Any]]:
    from skillrun.runner.report import checks_json

    return checks_json(checks)
