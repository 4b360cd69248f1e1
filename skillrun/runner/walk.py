"""The stages of a run in their order: examined or kept, each with what the proof says of it, and
committed before the next begins.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from skillrun.core.text import visible
from skillrun.ledger.rows import EvidenceRow, NewEvent
from skillrun.runner.signing import is_signed
from skillrun.runner.unproved import NOT_ASKED

if TYPE_CHECKING:
    from skillrun.core.verdict import Finding, StageResult
    from skillrun.ledger.store import Ledger
    from skillrun.runner.case import Case
    from skillrun.runner.coded import CodedSkill, Prover
    from skillrun.runner.options import Waiver
    from skillrun.runner.planned import Planned
    from skillrun.runner.watcher import Watcher


@dataclass
class Walk:
    """One walk through the stages of a run. `event` makes an event of this invocation."""

    case: Case
    code: CodedSkill[Any]
    planned: tuple[Planned, ...]
    missing_steps: tuple[Finding, ...]
    skill_file: str
    ledger: Ledger
    run_id: str
    event: Callable[..., NewEvent]
    watcher: Watcher
    waivers: Mapping[str, Waiver]
    until: str | None
    after_proof: Callable[[Case], None] | None = None
    # Whether all that a proof refutes was agreed to before: its stages stay failed, and the costly
    # ones run all the same.
    is_agreed: Callable[[Mapping[str, Any]], bool] | None = None
    results: dict[str, StageResult] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)
    # The proof's report, once it was asked for: None in it where nobody agreed to run one.
    proof: tuple[dict[str, Any] | None] | None = None
    is_debt_agreed: bool = False
    is_proof_recorded: bool = False
    is_told_of_proof: bool = False
    is_draft_told: bool = False
    # Stages whose result keeps the costly ones from running.
    open: set[str] = field(default_factory=set)

    def go(self) -> None:
        """As far as it can; every stage that is not reached is pending."""
        latest = self._read_latest()
        stopped = False
        for planned in self.planned:
            stage = planned.stage
            if not stopped and self._is_behind_proof(stage.ID):
                self._tell_of_proof()
            self.watcher.stage_begins(stage.ID)
            if stopped:
                self._put_off(planned, "after --until")
            elif stage.COSTLY and not self._is_clean():
                self._put_off(planned, "runs once the stages before it are clean")
            else:
                self._visit_stage(planned, latest.get(stage.ID))
            self.watcher.stage_ends(self.shown[-1])
            stopped = stopped or self.until == stage.ID

    def _read_latest(self) -> dict[str, dict[str, Any]]:
        """The latest event of each stage, as far as it is believed; one line names the others."""
        latest = self.ledger.latest_stages(self.run_id)
        foreign = []
        for stage, event in latest.items():
            if not is_signed(event):
                foreign.append(stage)
        if foreign:
            said = f"{', '.join(map(visible, foreign))}: not recorded by skillrun for this user"
            print(
                f"skillrun: {said}: not believed, and examined again", file=sys.stderr, flush=True
            )
        return {stage: event for stage, event in latest.items() if stage not in foreign}

    def _is_behind_proof(self, stage: str) -> bool:
        """The first stage after those that a proof speaks of, with nothing open before it."""
        if self.is_told_of_proof or stage in self._proven_stages or not self._is_clean():
            return False
        return self._proven_stages <= self.results.keys()

    def _tell_of_proof(self) -> None:
        """Once, where a proof was made."""
        self.is_told_of_proof = True
        is_made = self.proof is not None and self.proof[0] is not None
        if is_made and self.after_proof is not None:
            self.after_proof(self.case)

    def _prove_once(self, prover: Prover[Any]) -> dict[str, Any] | None:
        """The report of the one proof that all stages share. What it rests on becomes look-ups of
        each stage that asks.
        """
        report = self.case.once("proof", lambda: prover.prove_case(self.case))
        # Asked of every proof: one that finds nothing has paid off what was known.
        if self.proof is None and report is not None and self.is_agreed is not None:
            self.is_debt_agreed = self.is_agreed(report)
        self.proof = (report,)
        return report

    def _record_proof(self) -> Mapping[str, Any]:
        """What the ledger keeps of the proof: with the first stage that it speaks of."""
        if self._prover is None or self.proof is None or self.is_proof_recorded:
            return {}
        self.is_proof_recorded = True
        return self._prover.record_proof(self.proof[0])

    @cached_property
    def _prover(self) -> Prover[Any] | None:
        if self.code.prover is None:
            return None
        return self.code.prover()

    @cached_property
    def _proven_stages(self) -> frozenset[str]:
        """Those that a proof speaks of."""
        if self._prover is None:
            return frozenset()
        return frozenset(self._prover.PROOF_STAGES)

    def _can_be_proved(self, stage: str, result: StageResult) -> bool:
        """Whether a proof could say something of a stage that it has not said yet, and may run."""
        prover = self._prover
        if prover is None or "proof" in result.facts or not prover.speaks_of(stage, result):
            return False
        known = {**self.results, stage: result}
        return self._explain_no_proof() is None and prover.is_decided(self.case, known)

    def _explain_no_proof(self) -> Finding | None:
        """Why no proof is made; None where one can be made."""
        prover = self._prover
        if prover is None:
            return None
        return self.case.once("no-proof", lambda: prover.explain_no_proof(self.case))

    def _is_clean(self) -> bool:
        """Asked before every stage: to look at all results each time would be quadratic in a
        skill's steps.
        """
        return not self.open

    def _note_whether_open(self, stage: str, result: StageResult) -> None:
        from skillrun.core.verdict import Status
        from skillrun.runner.unproved import is_unproved

        done = (Status.PASSED, Status.NOT_APPLICABLE, Status.WAIVED)
        is_waiting = is_unproved(result) or _only_asks(result)
        if result.status in done or is_waiting or self._is_agreed_debt(result):
            self.open.discard(stage)
        else:
            self.open.add(stage)

    def _is_agreed_debt(self, result: StageResult) -> bool:
        """Whether a stage fails by nothing but what its proof refutes, and that was agreed to."""
        from skillrun.runner.unproved import fails_by_proof_alone

        return self.is_debt_agreed and fails_by_proof_alone(result)

    def _visit_stage(self, planned: Planned, event: dict[str, Any] | None) -> None:
        from skillrun.runner.checkpoint import is_done
        from skillrun.runner.codec import result_of

        begun = time.monotonic()
        if event is not None and is_done(self.case, planned.stage, event):
            kept = result_of(event["data"]["result"])
            if not self._can_be_proved(planned.stage.ID, kept):
                # Told by a stage that stands: the next one that is examined does not tell again.
                self.is_draft_told |= any(one.rule == NOT_ASKED for one in kept.findings)
                self._keep_result(planned, kept, cached=True, duration_ms=0)
                return
        self._examine_stage(planned, begun)

    def _add_proof(self, stage: str, result: StageResult) -> StageResult:
        """What a stage has read, with what the proof says of it: reading never outranks running."""
        prover = self._prover
        if prover is None or not self._can_be_proved(stage, result):
            return self._say_unproved(stage, result)
        told = []
        for one in self.planned:
            if one.stage.ID in self._proven_stages:
                told.append(one.stage.ID)
        return prover.add_proof(self.case, stage, result, self._prove_once(prover), told)

    def _say_unproved(self, stage: str, result: StageResult) -> StageResult:
        """With a note where the job is not proved: then reading is all there will be.

        Where the spec asks for a proof that cannot be made, or where something could not be read
        and no proof will say, the stage is pending.
        """
        from skillrun.core.verdict import Status
        from skillrun.runner.unproved import NOT_POSSIBLE, as_unproved, has_not_read

        if self._prover is None or result.status != Status.PASSED:
            return result
        why = self._explain_no_proof()
        if has_not_read(result):
            return self._put_off_unread(stage, result, why)
        if stage not in self._proven_stages or why is None:
            return result
        if why.rule == NOT_POSSIBLE:
            return as_unproved(stage, result, [why], "prove")
        findings = (*result.findings, self._tell_draft_once(why))
        return replace(result, findings=findings, facts={**result.facts, "proof": "none"})

    def _put_off_unread(self, stage: str, result: StageResult, why: Finding | None) -> StageResult:
        """A stage that could not read everything, as pending. `why`: there will be no proof."""
        from skillrun.runner.unproved import as_not_read, as_unproved

        if why is None or stage not in self._proven_stages:
            # Without a reason it waits for a decision: nobody passes on a question meanwhile.
            result = as_not_read(stage, result)
        if why is not None:
            result = as_unproved(stage, result, [self._with_draft(why)], "prove")
        return result

    def _tell_draft_once(self, why: Finding) -> Finding:
        """The first stage that is only read says what would have it proved; a work order takes it
        from there, without reading the repository again.
        """
        if self.is_draft_told:
            return why
        self.is_draft_told = True
        return self._with_draft(why)

    def _with_draft(self, why: Finding) -> Finding:
        """Where the spec asks for no proof, with the section that would ask for one."""
        prover = self._prover
        if prover is None or why.rule != NOT_ASKED:
            return why
        drafted = self.case.once("proof-draft", lambda: prover.draft_proof(self.case))
        if drafted is None:
            return why
        return replace(why, hint=f"write into the spec: {drafted}")

    def _examine_stage(self, planned: Planned, begun: float) -> None:
        """Examines a stage and commits what it found, with what the proof says of it."""
        from skillrun.runner.checkpoint import basis, fingerprint
        from skillrun.runner.codec import result_json
        from skillrun.runner.excerpts import excerpts
        from skillrun.runner.plugins import examine_stage

        stage = planned.stage
        self.case.clean = self._is_clean()
        with self.case.tree.recording() as lookups:
            result = self._add_proof(stage.ID, examine_stage(self.code, stage, self.case))
        result = self._apply_waiver(stage.ID, result)
        took = time.monotonic() - begun
        rests_on = basis(self.case, stage)
        record: Mapping[str, Any] = {}
        if "proof" in result.facts:
            record = self._record_proof()
        event = self.event(
            "stage.finished",
            stage=stage.ID,
            outcome=str(result.status),
            dur_us=int(took * 1e6),
            fingerprint=fingerprint(stage.ID, rests_on, lookups),
            data={
                "result": result_json(result),
                "basis": rests_on,
                "lookups": lookups.as_json(),
                "excerpts": excerpts(self.case.tree, result.findings, self.case.spec),
                **record,
            },
        )
        self.ledger.append(
            self.run_id, [event], evidence=[EvidenceRow.of(item) for item in result.evidence]
        )
        self._keep_result(planned, result, cached=False, duration_ms=int(took * 1000))

    def _put_off(self, planned: Planned, why: str) -> None:
        from skillrun.core.verdict import StageResult, Status

        waiver = self.waivers.get(planned.stage.ID)
        if waiver is not None and planned.stage.COSTLY:
            self._keep_result(
                planned,
                StageResult(Status.WAIVED, None, summary=waiver_words(waiver)),
                cached=False,
                duration_ms=0,
            )
            return
        self._keep_result(
            planned, StageResult(Status.PENDING, None, summary=why), cached=False, duration_ms=0
        )

    def _apply_waiver(self, item: str, result: StageResult) -> StageResult:
        from skillrun.core.verdict import Status

        waiver = self.waivers.get(item)
        if waiver is None or result.status in (Status.PASSED, Status.NOT_APPLICABLE):
            return result
        return replace(result, status=Status.WAIVED, next=(), summary=waiver_words(waiver))

    def _keep_result(
        self, planned: Planned, result: StageResult, *, cached: bool, duration_ms: int
    ) -> None:
        from skillrun.runner.report import finding_json, stage_json

        self.results[planned.stage.ID] = result
        self._note_whether_open(planned.stage.ID, result)
        stage = stage_json(
            planned, result, cached=cached, duration_ms=duration_ms, skill_file=self.skill_file
        )
        # What the text of the skill lacks belongs to no stage: it is said with the first.
        if not self.shown:
            stage["findings"] += [finding_json(finding) for finding in self.missing_steps]
        self.shown.append(stage)


def _only_asks(result: StageResult) -> bool:
    """Nothing is wrong, somebody has to agree: the stages after it say what they would run, too."""
    return bool(result.next) and all(action.action == "consent" for action in result.next)


def waiver_words(waiver: Waiver) -> str:
    return f"waived by {waiver.by}: {waiver.reason}"
