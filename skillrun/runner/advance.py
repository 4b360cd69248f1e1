"""One invocation: goes as far as it can, commits each stage before the next begins, and reports every problem."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from skillrun import __version__
from skillrun.actor import Actor, host_id, who
from skillrun.canonical import digest
from skillrun.errors import Refused
from skillrun.ledger.rows import EvidenceRow, NewEvent, RunStart, Telemetry
from skillrun.ledger.store import Ledger
from skillrun.lock import RunLock
from skillrun.repo.git import Snapshot, snapshot, touched
from skillrun.repo.tree import Tree
from skillrun.runner.target import Request, Target, find_target, lock_path, prepare_ledger_folder, shown

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.contract.spec import JobSpec
    from skillrun.runner.options import Waiver
    from skillrun.stages.conclude import CheckResult, Recommendation
    from skillrun.stages.interface import CommandPlan
    from skillrun.stages.registry import Planned
    from skillrun.verdict import StageResult

_WAIT_S = 60.0
NO_JOB = "-"
_IN_HEADER = ("run_id", "repo", "git_head")


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

    def may_run(self, plan: CommandPlan) -> str | None:
        """Asks a person; the means by which the answer was yes, or None."""


def advance(request: Request, watcher: Watcher) -> dict[str, Any]:
    """Advances the run of a skill on a job and returns the report (report.v1).

    Raises SkillrunError for what is refused or misused; then nothing was written.
    """
    started = time.monotonic()
    target = find_target(request)
    tree = Tree(target.repo.root)
    key = invocation_key(request, target, tree)
    inputs = None if _known(target, key) else _Inputs.read(request, target, tree)
    prepare_ledger_folder(target.repo, target.ledger_path)
    with Ledger.open(target.ledger_path) as ledger, RunLock(lock_path(target, _skill_name(target))) as lock:
        _take(lock, watcher)
        if inputs is None:
            report = _again(ledger, target, key, started)
            if report is not None:
                return report
            inputs = _Inputs.read(request, target, tree)
        return _Invocation(request, target, tree, inputs, ledger, watcher, key, started).go()


def invocation_key(request: Request, target: Target, tree: Tree) -> str:
    """One hash over all that an invocation could see: the same key, the same report."""
    asked = [
        dict(request.overrides),
        dict(request.waive),
        dict(request.attest),
        {k: list(v) for k, v in request.evidence.items()},
    ]
    seen = [target.skill_sha, target.spec_name, target.spec_sha, target.repo.head, tree.key, __version__]
    return digest([seen, asked, request.until, request.new_run])


def _skill_name(target: Target) -> str:
    return target.skill_file.parent.name


def _known(target: Target, key: str) -> bool:
    """Whether the latest invocation of this run saw exactly this and was done with it. Never creates a ledger."""
    if not target.ledger_path.is_file():
        return False
    with Ledger.open(target.ledger_path, read_only=True) as ledger:
        return _latest_of(ledger, target, key) is not None


def _latest_of(ledger: Ledger, target: Target, key: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(run, its last "invocation.ended" event) where that has the same key and may be repeated without a look."""
    runs = ledger.runs(repo=target.repo_name, limit=20)
    run = next((r for r in runs if r["spec_path"] == target.spec_name and r["skill_sha"] == target.skill_sha), None)
    if run is None or run["open_invocations"]:
        return None
    ended = ledger.last_event(run["run_id"], "invocation.ended")
    if ended is None or ended["data"]["key"] != key or not ended["data"]["settled"]:
        return None
    return run, ended


def _again(ledger: Ledger, target: Target, key: str, started: float) -> dict[str, Any] | None:
    """The report of an invocation that found everything as the last one left it; writes its telemetry row."""
    found = _latest_of(ledger, target, key)
    if found is None:
        return None
    run, ended = found
    run_id, actor, invocation = run["run_id"], who(), run["invocations"] + 1
    report: dict[str, Any] = stored_report(ledger, run_id, ended)
    for stage in report["stages"]:
        stage.update(cached=stage["status"] != "pending", duration_ms=0)
    row = ledger.telemetry(run_id, limit=1)[0]
    telemetry = _repeated(row, invocation, actor, target, _ms(started))
    same_as = ended["data"].get("same_as", ended["n"])
    events = [
        NewEvent("invocation.started", actor=actor.name, actor_kind=actor.kind, invocation=invocation),
        NewEvent(
            "invocation.ended",
            outcome=report["outcome"],
            actor=actor.name,
            actor_kind=actor.kind,
            invocation=invocation,
            data={"key": key, "settled": True, "same_as": same_as},
        ),
    ]
    stored = ledger.append(run_id, events, telemetry=telemetry)
    report["telemetry"] = telemetry_json(telemetry)
    report["ledger"] = {"path": str(target.ledger_path), "head": stored[-1].hash}
    return report


def stored_report(ledger: Ledger, run_id: str, ended: Mapping[str, Any]) -> dict[str, Any]:
    """The report of an "invocation.ended" event; one that changed nothing points to the one before it."""
    data = ended["data"]
    if "same_as" in data:
        data = ledger.events(run_id, type="invocation.ended", after=data["same_as"] - 1)[0]["data"]
    report: dict[str, Any] = data["report"]
    return report


def _repeated(row: Mapping[str, Any], invocation: int, actor: Actor, target: Target, duration_ms: int) -> Telemetry:
    """The row of an invocation that saw what the last one saw: only who, when and how long differ."""
    return Telemetry(
        **{
            **{k: v for k, v in row.items() if k in Telemetry.__dataclass_fields__},
            "invocation": invocation,
            "ts_utc": None,
            "duration_ms": duration_ms,
            "actor": actor.name,
            "actor_kind": str(actor.kind),
            "agent": actor.agent,
            "git_head": target.repo.head,
        }
    )


def _take(lock: RunLock, watcher: Watcher) -> None:
    if lock.acquire(0.0):
        return
    holder = lock.holder()
    watcher.waits(holder)
    if not lock.acquire(float(os.environ.get("SKILLRUN_WAIT_S", _WAIT_S))):
        raise Refused(f"another invocation of this run is at work: {holder}", hint="wait for it, or end that process")


@dataclass
class _Inputs:
    """All that can be refused, read before anything is written."""

    skill: Skill
    spec: JobSpec | None
    planned: tuple[Planned, ...]
    missing_steps: tuple[Any, ...]

    @classmethod
    def read(cls, request: Request, target: Target, tree: Tree) -> _Inputs:
        from skillrun.contract.skill import load_skill
        from skillrun.contract.spec import load_spec
        from skillrun.repo.profile import load_profile
        from skillrun.runner.options import check_waivers
        from skillrun.stages.conclude import CHECKS, STATE_MACHINE
        from skillrun.stages.registry import match_stages

        skill = load_skill(target.skill_file)
        spec = None
        if target.spec_file is not None:
            spec = load_spec(target.spec_file, overrides=request.overrides, root=target.repo.root)
        load_profile(target.repo.root)
        planned, missing = match_stages(skill)
        known = {p.stage.ID for p in planned} | {rule.id for rule in CHECKS.get(skill.name, ())}
        known |= {STATE_MACHINE, *_sibling_skills()}
        check_waivers(request.waive, known, "--waive")
        check_waivers([w.item for w in (spec.waivers if spec else None) or ()], known, target.spec_name or "spec")
        _check_until(request.until, planned)
        return cls(skill, spec, planned, missing)


def _sibling_skills() -> set[str]:
    from skillrun.stages.effects import DOMAIN, INTEGRATION, PERSISTENCE

    return {DOMAIN, INTEGRATION, PERSISTENCE, "personalize-repo"}


def _check_until(until: str | None, planned: tuple[Planned, ...]) -> None:
    from skillrun.errors import Misuse

    ids = [p.stage.ID for p in planned]
    if until is not None and until not in ids:
        raise Misuse(f"--until {until}: no such stage", hint=f"the stages are: {', '.join(ids)}")


@dataclass
class _Invocation:
    request: Request
    target: Target
    tree: Tree
    inputs: _Inputs
    ledger: Ledger
    watcher: Watcher
    key: str
    started: float
    actor: Actor = field(default_factory=who)
    results: dict[str, StageResult] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)

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
            self.tree,
            on_output=self.watcher.output,
            consent=self._consent,
        )
        self._record_words()
        self.watcher.begins(self._header(), [(p.stage.ID, p.stage.TITLE) for p in self.inputs.planned])
        self._walk()
        return self._conclude()

    # -- beginning

    @property
    def job(self) -> str:
        return self.inputs.spec.job if self.inputs.spec else NO_JOB

    def _resume(self) -> dict[str, Any] | None:
        if self.request.new_run:
            return None
        return self.ledger.latest_run(self.inputs.skill.id, self.job, self.target.repo_name)

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
            row = self._telemetry(number, "partial", [], None, {"interrupted": True}, duration_ms=None)
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
        """The invocation's first events: that it began, and what somebody said on its command line."""
        from skillrun.runner.options import new_attestations, recorded_attestations, waivers

        earlier = self.ledger.events(self.run_id, type="waiver.given")
        said = new_attestations(self.request, self.tree, self._attestable(), self.actor)
        self.waivers: dict[str, Waiver] = waivers(self.inputs.spec, self.request, earlier, self.actor)
        events = [self._event("invocation.started", data={"until": self.request.until} if self.request.until else {})]
        recorded = {(e["data"]["item"], e["data"]["reason"]) for e in earlier}
        events += [
            self._event("waiver.given", data={"item": w.item, "reason": w.reason, "by": w.by})
            for w in self.waivers.values()
            if (w.item, w.reason) not in recorded
        ]
        events += [
            self._event(
                "attestation.given", data={"step": a.step, "statement": a.statement, "evidence": dict(a.evidence)}
            )
            for a in said.values()
        ]
        self.ledger.append(self.run_id, events)
        self.case.attestations = recorded_attestations(self.ledger.events(self.run_id, type="attestation.given"))

    def _attestable(self) -> set[str]:
        from skillrun.stages.conclude import conclude_checks
        from skillrun.stages.declared import DeclaredStage

        steps = {p.stage.ID for p in self.inputs.planned if isinstance(p.stage, DeclaredStage)}
        checks = conclude_checks(self.inputs.skill, self.case, {}, {p.stage.ID for p in self.inputs.planned})
        return steps | {check.id for check in checks if check.next}

    def _event(self, type: str, **fields: Any) -> NewEvent:
        return NewEvent(
            type, actor=self.actor.name, actor_kind=str(self.actor.kind), invocation=self.invocation, **fields
        )

    def _consent(self, plan: CommandPlan) -> bool:
        """Asks once for the same content; the answer is kept outside the repository and recorded in the ledger."""
        from skillrun.validations.consent import Consent, consent_key

        key, store = consent_key(plan.commands, plan.files), Consent()
        if store.given(key):
            return True
        how = "--trust" if self.request.trust else self.watcher.may_run(plan)
        if how is None:
            return False
        store.give(key, how, plan.commands)
        self.ledger.append(
            self.run_id, [self._event("consent.given", data={"key": key, "how": how, "commands": list(plan.commands)})]
        )
        return True

    # -- the stages

    def _walk(self) -> None:
        latest = self.ledger.latest_stages(self.run_id)
        stopped = False
        for planned in self.inputs.planned:
            stage = planned.stage
            self.watcher.stage_begins(stage.ID)
            if stopped or (stage.COSTLY and not self._clean()):
                self._put_off(planned, "after --until" if stopped else "runs once the stages before it are clean")
            else:
                self._visit(planned, latest.get(stage.ID))
            self.watcher.stage_ends(self.shown[-1])
            stopped = stopped or self.request.until == stage.ID

    def _clean(self) -> bool:
        from skillrun.verdict import Status

        return all(r.status in (Status.PASSED, Status.NOT_APPLICABLE, Status.WAIVED) for r in self.results.values())

    def _visit(self, planned: Planned, event: dict[str, Any] | None) -> None:
        from skillrun.runner.checkpoint import is_done
        from skillrun.runner.codec import result_of

        begun = time.monotonic()
        cached = is_done(self.case, planned.stage, event)
        if cached and event is not None:
            self._keep(planned, result_of(event["data"]["result"]), cached=True, duration_ms=0)
            return
        self._examine(planned, begun)

    def _examine(self, planned: Planned, begun: float) -> None:
        from skillrun.runner.checkpoint import basis, fingerprint
        from skillrun.runner.codec import result_json

        stage = planned.stage
        with self.tree.recording() as lookups:
            result = stage.examine(self.case)
        result = self._waived(stage.ID, result)
        took = time.monotonic() - begun
        rests_on = basis(self.case, stage)
        event = self._event(
            "stage.finished",
            stage=stage.ID,
            outcome=str(result.status),
            dur_us=int(took * 1e6),
            fingerprint=fingerprint(stage.ID, rests_on, lookups),
            data={"result": result_json(result), "basis": rests_on, "lookups": lookups.as_json()},
        )
        self.ledger.append(self.run_id, [event], evidence=[EvidenceRow.of(item) for item in result.evidence])
        self._keep(planned, result, cached=False, duration_ms=int(took * 1000))

    def _put_off(self, planned: Planned, why: str) -> None:
        from skillrun.verdict import StageResult, Status

        waiver = self.waivers.get(planned.stage.ID)
        if waiver is not None and planned.stage.COSTLY:
            self._keep(
                planned, StageResult(Status.WAIVED, None, summary=_waiver_words(waiver)), cached=False, duration_ms=0
            )
            return
        self._keep(planned, StageResult(Status.PENDING, None, summary=why), cached=False, duration_ms=0)

    def _waived(self, item: str, result: StageResult) -> StageResult:
        from dataclasses import replace

        from skillrun.verdict import Status

        waiver = self.waivers.get(item)
        if waiver is None or result.status in (Status.PASSED, Status.NOT_APPLICABLE):
            return result
        return replace(result, status=Status.WAIVED, next=(), summary=_waiver_words(waiver))

    def _keep(self, planned: Planned, result: StageResult, *, cached: bool, duration_ms: int) -> None:
        from skillrun.runner.report import stage_json

        self.results[planned.stage.ID] = result
        skill_file = shown(self.target.repo.root, self.target.skill_file)
        self.shown.append(stage_json(planned, result, cached=cached, duration_ms=duration_ms, skill_file=skill_file))

    # -- the end

    def _conclude(self) -> dict[str, Any]:
        from skillrun.runner.report import next_json, recommendations_json
        from skillrun.stages.conclude import conclude_checks, recommend
        from skillrun.verdict import Status, outcome_of

        files = touched(self.target.repo, Snapshot.from_json(self.run["base_tree"]))
        taken = {p.stage.ID for p in self.inputs.planned}
        checks = [self._waived_check(c) for c in conclude_checks(self.inputs.skill, self.case, self.results, taken)]
        checks += self._own_checks(files)
        recommendations = [self._waived_skill(r) for r in recommend(self.inputs.skill, self.case, self.results)]
        outcome = outcome_of([*(r.status for r in self.results.values()), *(c.status for c in checks)])
        open_stages = {stage for stage, r in self.results.items() if r.status in (Status.BLOCKED, Status.FAILED)}
        report = {
            "schema_version": 1,
            "run": self._header(),
            "outcome": str(outcome),
            "stages": self._with_missing_steps(),
            "checks": _checks(checks),
            "recommendations": recommendations_json(recommendations),
            "next": next_json(self.results, checks, open_stages),
        }
        return self._write(report, files, checks, outcome_settled=not self._volatile())

    def _with_missing_steps(self) -> list[dict[str, Any]]:
        from skillrun.runner.report import finding_json

        if self.inputs.missing_steps and self.shown:
            self.shown[0]["findings"] += [finding_json(finding) for finding in self.inputs.missing_steps]
        return self.shown

    def _volatile(self) -> bool:
        """Whether a repetition could find something else in the same tree: a command that failed, a missing consent."""
        from skillrun.verdict import Status

        costly = [p.stage.ID for p in self.inputs.planned if p.stage.COSTLY]
        return any(self.results[stage].status in (Status.FAILED, Status.BLOCKED) for stage in costly)

    def _own_checks(self, files: list[str]) -> list[CheckResult]:
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
        self, report: dict[str, Any], files: list[str], checks: list[CheckResult], *, outcome_settled: bool
    ) -> dict[str, Any]:
        telemetry = self._telemetry(
            self.invocation, report["outcome"], checks, files, {}, duration_ms=_ms(self.started)
        )
        report["telemetry"] = telemetry_json(telemetry)
        event = self._event(
            "invocation.ended",
            outcome=report["outcome"],
            dur_us=_ms(self.started) * 1000,
            data={"key": self.key, "settled": outcome_settled, "report": report},
        )
        stored = self.ledger.append(self.run_id, [*self._recommended(report), event], telemetry=telemetry)
        return {**report, "ledger": {"path": str(self.target.ledger_path), "head": stored[-1].hash}}

    def _recommended(self, report: dict[str, Any]) -> list[NewEvent]:
        known = {e["data"]["skill"] for e in self.ledger.events(self.run_id, type="recommendation.made")}
        new = [r for r in report["recommendations"] if r["skill"] not in known]
        return [self._event("recommendation.made", data={"skill": r["skill"], "reason": r["reason"]}) for r in new]

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


def _waiver_words(waiver: Waiver) -> str:
    return f"waived by {waiver.by}: {waiver.reason}"


def _checks(checks: list[CheckResult]) -> list[dict[str, Any]]:
    from skillrun.runner.report import checks_json

    return checks_json(checks)


def telemetry_row_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """As `telemetry_json`, from a row of the ledger."""
    return {k: v for k, v in row.items() if k in Telemetry.__dataclass_fields__ and k not in _IN_HEADER}


def telemetry_json(row: Telemetry) -> dict[str, Any]:
    """The telemetry of the report: the row without what the run's header says already."""
    from dataclasses import asdict

    return {k: v for k, v in asdict(row).items() if k not in _IN_HEADER}


def _ms(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
