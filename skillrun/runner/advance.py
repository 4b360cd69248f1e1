"""One invocation: goes as far as it can, commits each stage before the next begins, and reports
every problem.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
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
from skillrun.repo.git import Repo, Snapshot, snapshot, touched
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
    inputs = None
    identity: tuple[str, ...]
    if known:
        # Nothing has changed, as far as a look without the lock can tell.
        identity = (known["skill"], known["job"])
    else:
        # What can be refused is refused before anything is written.
        inputs = _read_inputs(seen)
        identity = inputs.identity
    prepare_ledger_folder(target.repo, target.ledger_path)
    with open_ledger(target.ledger_path) as ledger, RunLock(lock_path(target, identity)) as lock:
        if _take_lock(lock, watcher):
            # The other one, or a person meanwhile, may have changed things.
            seen = Seen.of(request)
            inputs = None
        settle(ledger, target.ledger_path, target.repo.root)
        if inputs is None:
            report = repeat(ledger, seen, started)
            if report is not None:
                return report
            inputs = _read_inputs(seen)
        return _Invocation(seen, inputs, ledger, watcher, started, after_proof).go()


def _read_inputs(seen: Seen) -> Inputs:
    """Imported here: an invocation that found nothing changed reads none."""
    from skillrun.runner.inputs import Inputs

    return Inputs.read(seen)


def _check_state_folder(target: Target) -> None:
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


def case_of(request: Request) -> Case:
    """What the stages of a run would see now. Raises as `advance` does; nothing is written."""
    from skillrun.runner.inputs import Inputs

    seen = Seen.of(request)
    case = Inputs.read(seen).case
    case.is_recorded = partial(_is_recorded_in, seen.target.ledger_path)
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

    seen: Seen
    inputs: Inputs
    ledger: Ledger
    watcher: Watcher
    started: float
    after_proof: Callable[[Case], None] | None = None
    actor: Actor = field(default_factory=who)
    walk: Walk | None = None

    def go(self) -> dict[str, Any]:
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
        self.watcher.begins(
            self._make_header(), [(p.stage.ID, p.stage.TITLE) for p in self.inputs.planned]
        )
        self._walk_stages()
        return self._conclude_run()

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

    def _resume_run(self) -> dict[str, Any] | None:
        if self.request.new_run:
            return None
        run = self.ledger.latest_run(self.inputs.skill.id, self.job, self.target.repo_name)
        wrong = None
        if run is not None:
            wrong = find_tampering(self.ledger, run["run_id"])
        if run is None or wrong is None:
            return run
        said = (
            f"the run {run['run_id']} is not as it was written ({visible(wrong)}): nothing of it is"
            " believed"
        )
        print(f"skillrun: {said}, and a new one begins", file=sys.stderr, flush=True)
        return None

    def _start_run(self) -> dict[str, Any]:
        base = snapshot(self.target.repo)
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
        """An invocation that died without its row gets one: partial, interrupted."""
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
        """The invocation's first events: that it began, and what somebody said on its command
        line.
        """
        from skillrun.runner.options import recorded_attestations, waivers

        earlier = keep_signed(self.ledger.events(self.run_id, type="waiver.given"))
        self.waivers: dict[str, Waiver] = waivers(
            self.inputs.spec, self.request, earlier, self.actor
        )
        events = [self._make_event("invocation.started", data=self.seen.options())]
        recorded = {(e["data"]["item"], e["data"]["reason"], e["data"]["from"]) for e in earlier}
        for w in self.waivers.values():
            # As the ledger keeps it: with a secret masked, which it was the last time as well.
            said = masked_json({"item": w.item, "reason": w.reason, "by": w.by, "from": w.source})
            if (said["item"], said["reason"], said["from"]) not in recorded:
                events.append(self._make_event("waiver.given", data=said))
        for a in self.inputs.attested.values():
            events.append(
                self._make_event(
                    "attestation.given",
                    data={"step": a.step, "statement": a.statement, "evidence": dict(a.evidence)},
                )
            )
        self.ledger.append(self.run_id, events)
        attested = keep_signed(self.ledger.events(self.run_id, type="attestation.given"))
        self.case.attestations = recorded_attestations(attested)

    def _make_event(self, type: str, **fields: Any) -> NewEvent:
        event = NewEvent(
            type,
            actor=self.actor.name,
            actor_kind=str(self.actor.kind),
            invocation=self.invocation,
            **fields,
        )
        return sign_event(self.run_id, event)

    def _record_consent(self, how: str, commands: tuple[str, ...]) -> None:
        data = {"how": how, "commit": self.target.repo.head, "commands": list(commands)}
        self.ledger.append(self.run_id, [self._make_event("consent.given", data=data)])

    @property
    def results(self) -> dict[str, StageResult]:
        """What the stages have concluded so far."""
        if self.walk is None:
            return {}
        return self.walk.results

    def _walk_stages(self) -> None:
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
        )
        self.walk = walk
        walk.go()

    # -- the end

    def _conclude_run(self) -> dict[str, Any]:
        from skillrun.core.verdict import Outcome, Status, outcome_of
        from skillrun.runner.conclude import conclude_checks, recommend
        from skillrun.runner.report import is_open, next_json, recommendations_json, risks_json

        files = self._list_touched()
        taken, results = {p.stage.ID for p in self.inputs.planned}, self.results
        checks = []
        for c in conclude_checks(self.inputs.skill, self.case, results, taken):
            checks.append(self._waived_check(c))
        checks += self._check_promises("", files)
        recommendations = []
        for r in recommend(self.inputs.skill, self.case, self.results):
            recommendations.append(self._waived_skill(r))
        outcome = outcome_of(
            [*(r.status for r in self.results.values()), *(c.status for c in checks)]
        )
        risks = risks_json(results, {item: w.reason for item, w in self.waivers.items()})
        if outcome == Outcome.SUCCESS and any(map(is_open, risks)):
            outcome = Outcome.PARTIAL
        unfinished = (Status.BLOCKED, Status.FAILED, Status.PENDING)
        open_stages = {stage for stage, r in self.results.items() if r.status in unfinished}
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
            "next": next_json(self.results, checks, open_stages, risks),
        }
        return self._write_invocation(
            report, files, checks, outcome_settled=not self._may_differ_again()
        )

    def _count_schedules(self) -> int:
        """Under how many schedules the stages were proved that are. They share one proof, unless it
        was made again.
        """
        return max(
            (result.facts.get("schedules", 0) for result in self.results.values()), default=0
        )

    def _may_differ_again(self) -> bool:
        """Whether a repetition could find something else in the same tree: a command that failed, a
        missing consent.
        """
        from skillrun.core.verdict import Status
        from skillrun.runner.checkpoint import is_settled

        costly = []
        for p in self.inputs.planned:
            if p.stage.COSTLY:
                costly.append(p.stage.ID)
        failed = any(
            self.results[stage].status in (Status.FAILED, Status.BLOCKED) for stage in costly
        )
        return failed or not all(is_settled(result.facts) for result in self.results.values())

    def _list_touched(self) -> list[str] | None:
        """The files that differ from the tree at the run's start; None where its commit is gone."""
        try:
            files = touched(self.target.repo, Snapshot.from_json(self.run["base_tree"]))
        except RepoUnusable:
            return None
        own = self.target.own_files
        found = []
        for path in files:
            if not own or not path.startswith(own):
                found.append(path)
        return found

    def _check_promises(self, outcome: str, files: list[str] | None) -> list[CheckResult]:
        from skillrun.runner.conclude import skill_promises

        return skill_promises(self.inputs.code, self._measure_run(outcome, files))

    def _measure_run(self, outcome: str, files: list[str] | None) -> Measured:
        from skillrun.runner.coded import Measured

        return Measured(self.inputs.skill, self.inputs.spec, outcome, files, self.results)

    def _waived_check(self, check: CheckResult) -> CheckResult:
        from dataclasses import replace

        from skillrun.core.verdict import Status

        if check.id in self.waivers and check.status not in (Status.PASSED, Status.NOT_APPLICABLE):
            return replace(check, status=Status.WAIVED, next=None)
        return check

    def _waived_skill(self, recommendation: Recommendation) -> Recommendation:
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
            data={"key": self.seen.key, "settled": outcome_settled, "report": report},
        )
        stored = self.ledger.append(
            self.run_id, [*self._make_recommendations(report), event], telemetry=telemetry
        )
        return {**report, "ledger": {"path": str(self.target.ledger_path), "head": stored[-1].hash}}

    def _make_recommendations(self, report: dict[str, Any]) -> list[NewEvent]:
        known = set()
        for e in self.ledger.events(self.run_id, type="recommendation.made"):
            known.add(e["data"]["skill"])
        new = []
        for r in report["recommendations"]:
            if r["skill"] not in known:
                new.append(r)
        return [
            self._make_event(
                "recommendation.made", data={"skill": r["skill"], "reason": r["reason"]}
            )
            for r in new
        ]

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
        from skillrun.runner.telemetry import telemetry_row

        seen = self._measure_run(outcome, files)
        return telemetry_row(
            self.run_id,
            invocation,
            seen,
            {**self.inputs.code.measure(seen), **fields},
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


def _show_checks(checks: list[CheckResult]) -> list[dict[str, Any]]:
    from skillrun.runner.report import checks_json

    return checks_json(checks)
