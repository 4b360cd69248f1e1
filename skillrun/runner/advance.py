"""One invocation: goes as far as it can, commits each stage before the next begins, and reports
every problem.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from skillrun import __version__
from skillrun.core.actor import Actor, host_id, who
from skillrun.core.errors import Blocked, Refused, RepoUnusable
from skillrun.core.lock import RunLock
from skillrun.core.tally import count_stages
from skillrun.core.text import masked_json, visible
from skillrun.ledger.rows import NewEvent, RunStart, Telemetry
from skillrun.repo.git import Repo, Snapshot, list_touched, take_snapshot
from skillrun.runner.repeat import (
    FoundInputs,
    elapsed_ms,
    find_unchanged_run,
    repeat,
    telemetry_json,
)
from skillrun.runner.signing import find_tampering, is_proof_recorded, keep_signed, sign_event
from skillrun.runner.spec_then import describe_spec
from skillrun.runner.target import (
    Request,
    RunTarget,
    lock_path,
    open_ledger,
    patience_s,
    prepare_ledger_folder,
    shown,
)
from skillrun.runner.written import finish_interrupted_write

if TYPE_CHECKING:
    from pathlib import Path

    from skillrun.core.verdict import StageResult
    from skillrun.ledger.store import Ledger
    from skillrun.runner.case import Case
    from skillrun.runner.coded import Measured, Recommendation
    from skillrun.runner.conclude import CheckResult
    from skillrun.runner.inputs import Inputs
    from skillrun.runner.options import Waiver
    from skillrun.runner.walk import Walk
    from skillrun.runner.watcher import Watcher
    from skillrun.validations.consent import CommandPlan, Gate


def advance(
    request: Request,
    watcher: Watcher,
    after_proof: Callable[[Case], None] | None = None,
    is_agreed: Callable[[Mapping[str, Any]], bool] | None = None,
) -> dict[str, Any]:
    """Advances the run of a skill on a job and returns the report (report.v1).

    `after_proof` is called once a proof has run, before the stages that it does not speak of: what
    it writes, they see. `is_agreed` is asked of a proof that refutes: where somebody has agreed to
    all of it, the costly stages run all the same.

    Raises SkillrunError for what is refused or misused; then nothing was written.
    """
    started = time.monotonic()
    found = FoundInputs.of(request)
    _check_state_folder(found.target)
    target, known = found.target, find_unchanged_run(found)
    inputs = None
    identity: tuple[str, ...]
    if known:
        # Nothing has changed, as far as a look without the lock can tell.
        identity = (known["skill"], known["job"])
    else:
        # What can be refused is refused before anything is written.
        inputs = _read_inputs(found)
        identity = inputs.identity
    prepare_ledger_folder(target.repo, target.ledger_path)
    with open_ledger(target.ledger_path) as ledger, RunLock(lock_path(target, identity)) as lock:
        if _take_lock(lock, watcher):
            # The other one, or a person meanwhile, may have changed things.
            found = FoundInputs.of(request)
            inputs = None
        finish_interrupted_write(ledger, target.ledger_path, target.repo.root)
        if inputs is None:
            report = repeat(ledger, found, started)
            if report is not None:
                return report
            inputs = _read_inputs(found)
        return _Invocation(found, inputs, ledger, watcher, started, after_proof, is_agreed).go()


def _read_inputs(found: FoundInputs) -> Inputs:
    """The inputs of an invocation. Their module is imported here, since an invocation that found
    nothing changed reads none.
    """
    from skillrun.runner.inputs import Inputs

    return Inputs.read(found)


def _check_state_folder(target: RunTarget) -> None:
    """Raises Blocked where the state folder lies in the repository: its key and answers could have
    come with it.
    """
    from skillrun.core.state import lies_in, state_dir

    folder = state_dir()
    if lies_in(folder, target.repo.root):
        hint = "set SKILLRUN_STATE_DIR to a folder outside the repository that you can write"
        raise Blocked(
            f"{folder}: skillrun's state folder lies in the repository, so nothing in it counts",
            hint=hint,
        )


def _take_lock(lock: RunLock, watcher: Watcher) -> bool:
    """Takes the lock, and returns whether that took a wait. Raises Refused where the other one
    holds it for too long.
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


def case_of(request: Request) -> Case:
    """What the stages of a run would see now. Raises as `advance` does; nothing is written."""
    from skillrun.runner.inputs import Inputs

    found = FoundInputs.of(request)
    case = Inputs.read(found).case
    case.is_recorded = partial(_is_recorded_in, found.target.ledger_path)
    return case


def list_command_plans(request: Request) -> list[CommandPlan]:
    """All code of the repository that a run would start, so that one question can show it.

    Looked for in a tree of its own: what is read for a question is no look-up of the stage that
    asks.
    """
    from skillrun.runner.plugins import skill_code

    case = case_of(request)
    return skill_code(case.skill.name).list_command_plans(case)


def open_gate(request: Request, watcher: Watcher, repo: Repo) -> Gate:
    """What stands before code of the repository, whoever asks: a stage, a formatter, an agent that
    is started in it and runs its hooks and settings.
    """
    from skillrun.validations.consent import Gate

    return Gate(repo, request.trust, watcher)


def _is_recorded_in(ledger_path: Path, sha: str) -> bool:
    """Whether a ledger file says that a proof of this digest was kept. Never creates one."""
    from skillrun.ledger.connection import is_ledger_file

    if not is_ledger_file(ledger_path):
        return False
    with open_ledger(ledger_path, read_only=True) as ledger:
        return is_proof_recorded(ledger, sha)


@dataclass
class _Invocation:
    """One call of skillrun, under the run's lock: what it finds becomes events, a report and a row
    of telemetry.
    """

    found: FoundInputs
    inputs: Inputs
    ledger: Ledger
    watcher: Watcher
    started: float
    after_proof: Callable[[Case], None] | None = None
    is_agreed: Callable[[Mapping[str, Any]], bool] | None = None
    actor: Actor = field(default_factory=who)
    walk: Walk | None = None

    def go(self) -> dict[str, Any]:
        """Walks the stages of the run, a new one or the latest, and returns the report."""
        self.run = self._resume_run() or self._start_run()
        self.run_id: str = self.run["run_id"]
        self._close_interrupted()
        self.invocation: int = self.run["invocations"] + 1
        self.case = self.inputs.case
        self.case.on_output = self.watcher.output
        gate = open_gate(self.request, self.watcher, self.target.repo)
        # A new yes of this invocation shows all that would run, and is an event of the run.
        gate.plans = partial(list_command_plans, self.request)
        gate.on_given = self._record_consent
        self.case.consent = gate.allows
        self.case.is_recorded = partial(is_proof_recorded, self.ledger)
        self._record_words()
        stages = [(planned.stage.ID, planned.stage.TITLE) for planned in self.inputs.planned]
        self.watcher.begins(self._make_header(), stages)
        self._walk_stages()
        return self._conclude_run()

    # -- beginning

    @property
    def request(self) -> Request:
        return self.found.request

    @property
    def target(self) -> RunTarget:
        return self.found.target

    @property
    def job(self) -> str:
        return self.inputs.job

    def _resume_run(self) -> dict[str, Any] | None:
        """The run that this invocation goes on with; None where a new one begins."""
        if self.request.new_run:
            return None
        run = self.ledger.latest_run(self.inputs.skill.id, self.job, self.target.repo_name)
        if run is None:
            return None
        wrong = find_tampering(self.ledger, run["run_id"])
        if wrong is None:
            return run
        said = (
            f"the run {run['run_id']} is not as it was written ({visible(wrong)}): nothing of it is"
            " believed"
        )
        print(f"skillrun: {said}, and a new one begins", file=sys.stderr, flush=True)
        return None

    def _start_run(self) -> dict[str, Any]:
        """A new run, with the tree as it is now: what differs later was touched by the run."""
        base = take_snapshot(self.target.repo)
        skill, actor, repo = self.inputs.skill, self.actor, self.target.repo
        run_id = self.ledger.start_run(
            RunStart(
                skill=skill.id,
                skill_name=skill.name,
                skill_sha=skill.sha256,
                job=self.job,
                spec_path=self.target.spec_name,
                repo=self.target.repo_name,
                git_head=repo.head,
                dirty=bool(base.dirty),
                actor=actor.name,
                actor_kind=str(actor.kind),
                agent=actor.agent,
                host_id=host_id(),
                runner_version=__version__,
                base_tree=base.as_json(),
            )
        )
        return self.ledger.run(run_id)

    def _close_interrupted(self) -> None:
        """Gives each invocation that died without its row one: partial, interrupted."""
        for number in self.ledger.open_invocations(self.run_id):
            row = self._make_telemetry(
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
        """Records the invocation's first events: that it began, and what somebody said on its
        command line.
        """
        from skillrun.runner.options import recorded_attestations, waivers

        earlier = keep_signed(self.ledger.events(self.run_id, type="waiver.given"))
        self.waivers: dict[str, Waiver] = waivers(
            self.inputs.spec, self.request, earlier, self.actor
        )
        started = self.ledger.events(self.run_id, type="invocation.started")
        spec = describe_spec(
            self.target.spec_file, self.target.spec_sha, self.inputs.spec, keep_signed(started)
        )
        began = {**self.found.options(), **spec}
        events = [self._make_event("invocation.started", data=began)]
        recorded = {_identify_waiver(event["data"]) for event in earlier}
        for waiver in self.waivers.values():
            # As the ledger keeps it: with a secret masked, which it was the last time as well.
            given = masked_json(
                {
                    "item": waiver.item,
                    "reason": waiver.reason,
                    "by": waiver.by,
                    "from": waiver.source,
                }
            )
            if _identify_waiver(given) not in recorded:
                events.append(self._make_event("waiver.given", data=given))
        for attestation in self.inputs.attested.values():
            statement = {
                "step": attestation.step,
                "statement": attestation.statement,
                "evidence": dict(attestation.evidence),
            }
            events.append(self._make_event("attestation.given", data=statement))
        self.ledger.append(self.run_id, events)
        attested = keep_signed(self.ledger.events(self.run_id, type="attestation.given"))
        self.case.attestations = recorded_attestations(attested)

    def _make_event(self, type: str, **fields: Any) -> NewEvent:
        """A signed event of this invocation."""
        event = NewEvent(
            type,
            actor=self.actor.name,
            actor_kind=str(self.actor.kind),
            invocation=self.invocation,
            **fields,
        )
        return sign_event(self.run_id, event)

    def _record_consent(self, how: str, commands: tuple[str, ...]) -> None:
        """Records which commands somebody has allowed, and by what means."""
        data = {"how": how, "commit": self.target.repo.head, "commands": list(commands)}
        self.ledger.append(self.run_id, [self._make_event("consent.given", data=data)])

    @property
    def results(self) -> dict[str, StageResult]:
        """What the stages have concluded so far."""
        if self.walk is None:
            return {}
        return self.walk.results

    def _walk_stages(self) -> None:
        """Examines the stages one by one; `self.walk` has what each concluded."""
        from skillrun.runner.walk import Walk

        skill_file = shown(self.target.repo.root, self.target.skill_file)
        walk = Walk(
            self.case,
            self.inputs.code,
            self.inputs.planned,
            self.inputs.missing_steps,
            skill_file,
            self.ledger,
            self.run_id,
            self._make_event,
            self.watcher,
            self.waivers,
            self.request.until,
            self.after_proof,
            self.is_agreed,
        )
        self.walk = walk
        walk.go()

    # -- the end

    def _conclude_run(self) -> dict[str, Any]:
        """Concludes checks, recommendations, risks and the outcome, and writes the report."""
        from skillrun.core.verdict import Outcome, Status, outcome_of
        from skillrun.runner.conclude import conclude_checks, recommend
        from skillrun.runner.report import is_open, next_json, recommendations_json, risks_json

        files, results = self._list_touched(), self.results
        taken = {planned.stage.ID for planned in self.inputs.planned}
        checks = []
        for check in conclude_checks(self.inputs.skill, self.case, results, taken):
            checks.append(self._waive_check(check))
        checks += self._check_promises("", files)
        recommendations = []
        for recommendation in recommend(self.inputs.skill, self.case, results):
            recommendations.append(self._waive_skill(recommendation))
        statuses = [result.status for result in results.values()]
        statuses += [check.status for check in checks]
        outcome = outcome_of(statuses)
        risks = risks_json(results, {item: w.reason for item, w in self.waivers.items()})
        if outcome == Outcome.SUCCESS and any(is_open(risk) for risk in risks):
            outcome = Outcome.PARTIAL
        unfinished = (Status.BLOCKED, Status.FAILED, Status.PENDING)
        open_stages = {stage for stage, result in results.items() if result.status in unfinished}
        shown = []
        if self.walk:
            shown = self.walk.shown
        report = {
            "schema_version": 1,
            "run": self._make_header(),
            "outcome": str(outcome),
            "counts": count_stages(shown, self._count_schedules()),
            "stages": shown,
            "checks": _show_checks(checks),
            "recommendations": recommendations_json(recommendations),
            "risks": risks,
            "next": next_json(results, checks, open_stages, risks),
        }
        is_settled = not self._may_differ_again()
        return self._write_invocation(report, files, checks, outcome_settled=is_settled)

    def _count_schedules(self) -> int:
        """Under how many schedules the stages were proved that are; 0 where none is."""
        counts = [result.facts.get("schedules", 0) for result in self.results.values()]
        # They share one proof, unless it was made again.
        return max(counts, default=0)

    def _may_differ_again(self) -> bool:
        """Whether a repetition could find something else in the same tree: a command that failed, a
        missing consent.
        """
        from skillrun.core.verdict import Status
        from skillrun.runner.checkpoint import is_settled

        for planned in self.inputs.planned:
            if not planned.stage.COSTLY:
                continue
            if self.results[planned.stage.ID].status in (Status.FAILED, Status.BLOCKED):
                return True
        return not all(is_settled(result.facts) for result in self.results.values())

    def _list_touched(self) -> list[str] | None:
        """The files that differ from the tree at the run's start; None where its commit is gone."""
        try:
            files = list_touched(self.target.repo, Snapshot.from_json(self.run["base_tree"]))
        except RepoUnusable:
            return None
        # An empty tuple is the beginning of no path.
        own = tuple(self.target.own_files)
        return [path for path in files if not path.startswith(own)]

    def _check_promises(self, outcome: str, files: list[str] | None) -> list[CheckResult]:
        """What the skill promises besides its checks, where that is not kept."""
        from skillrun.runner.conclude import skill_promises

        return skill_promises(self.inputs.code, self._measure_run(outcome, files))

    def _measure_run(self, outcome: str, files: list[str] | None) -> Measured:
        """What a skill may measure of a run for its telemetry."""
        from skillrun.runner.coded import Measured

        return Measured(self.inputs.skill, self.inputs.spec, outcome, files, self.results)

    def _waive_check(self, check: CheckResult) -> CheckResult:
        """The check, waived where somebody has said so and it is not met."""
        from dataclasses import replace

        from skillrun.core.verdict import Status

        if check.id in self.waivers and check.status not in (Status.PASSED, Status.NOT_APPLICABLE):
            return replace(check, status=Status.WAIVED, next=None)
        return check

    def _waive_skill(self, recommendation: Recommendation) -> Recommendation:
        """The recommendation, with the reason why somebody does not follow it."""
        from dataclasses import replace

        waiver = self.waivers.get(recommendation.skill)
        if waiver:
            return replace(recommendation, waived=waiver.reason)
        return recommendation

    def _write_invocation(
        self,
        report: dict[str, Any],
        files: list[str] | None,
        checks: list[CheckResult],
        *,
        outcome_settled: bool,
    ) -> dict[str, Any]:
        """Writes the last event and the telemetry row in one transaction; returns the report with
        what came of that.
        """
        telemetry = self._make_telemetry(
            self.invocation,
            report["outcome"],
            checks,
            files,
            {},
            duration_ms=elapsed_ms(self.started),
        )
        report["telemetry"] = telemetry_json(telemetry)
        event = self._make_event(
            "invocation.ended",
            outcome=report["outcome"],
            dur_us=elapsed_ms(self.started) * 1000,
            data={"key": self.found.key, "settled": outcome_settled, "report": report},
        )
        stored = self.ledger.append(
            self.run_id, [*self._make_recommendations(report), event], telemetry=telemetry
        )
        return {**report, "ledger": {"path": str(self.target.ledger_path), "head": stored[-1].hash}}

    def _make_recommendations(self, report: dict[str, Any]) -> list[NewEvent]:
        """An event for each recommendation that the run has not made before."""
        known = set()
        for event in self.ledger.events(self.run_id, type="recommendation.made"):
            known.add(event["data"]["skill"])
        events = []
        for made in report["recommendations"]:
            if made["skill"] not in known:
                data = {"skill": made["skill"], "reason": made["reason"]}
                events.append(self._make_event("recommendation.made", data=data))
        return events

    def _make_telemetry(
        self,
        invocation: int,
        outcome: str,
        checks: list[CheckResult],
        files: list[str] | None,
        fields: dict[str, Any],
        *,
        duration_ms: int | None,
    ) -> Telemetry:
        """The telemetry row of an invocation of this run."""
        from skillrun.runner.telemetry import telemetry_row

        found = self._measure_run(outcome, files)
        return telemetry_row(
            self.run_id,
            invocation,
            found,
            {**self.inputs.code.measure(found), **fields},
            checks,
            self.actor,
            self.target,
            duration_ms,
        )

    def _make_header(self) -> dict[str, Any]:
        return {
            "id": self.run_id,
            "skill": self.inputs.skill.id,
            "skill_sha": self.inputs.skill.sha256,
            "job": self.job,
            "repo": self.target.repo_name,
            "git_head": self.target.repo.head,
        }


def _identify_waiver(said: dict[str, Any]) -> tuple[str, str, str]:
    """What makes a waiver the same as an earlier one, whoever gives it."""
    return said["item"], said["reason"], said["from"]


def _show_checks(checks: list[CheckResult]) -> list[dict[str, Any]]:
    from skillrun.runner.report import checks_json

    return checks_json(checks)
