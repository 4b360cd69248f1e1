"""The stages of a run in their order: examined or kept, proved in between, each committed before
the next begins.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from skillrun.core.text import visible
from skillrun.ledger.rows import EvidenceRow, NewEvent
from skillrun.runner.signing import is_signed

if TYPE_CHECKING:
    from skillrun.core.verdict import Finding, StageResult
    from skillrun.ledger.store import Ledger
    from skillrun.repo.tree import Lookup
    from skillrun.runner.advance import Watcher
    from skillrun.runner.case import Case
    from skillrun.runner.coded import CodedSkill, Prover
    from skillrun.runner.options import Waiver
    from skillrun.runner.planned import Planned


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
    results: dict[str, StageResult] = field(default_factory=dict)
    shown: list[dict[str, Any]] = field(default_factory=list)
    proof_done: bool = False
    # Stages that the watcher has not been told of yet.
    held: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)  # stage -> its place in `shown`
    # Stages whose result keeps the costly ones from running.
    open: set[str] = field(default_factory=set)

    def go(self) -> None:
        """As far as it can; every stage that is not reached is pending."""
        latest = self._read_latest()
        stopped = False
        for planned in self.planned:
            stage = planned.stage
            if not stopped and self._is_behind_proof(stage.ID):
                self._prove()
            self.watcher.stage_begins(stage.ID)
            if stopped or (stage.COSTLY and not self._clean()):
                self._put_off(
                    planned,
                    "after --until" if stopped else "runs once the stages before it are clean",
                )
            else:
                self._visit(planned, latest.get(stage.ID))
            self._show(stage.ID, hold=not stopped)
            stopped = stopped or self.until == stage.ID
        self._tell()

    def _read_latest(self) -> dict[str, dict[str, Any]]:
        """The latest event of each stage, as far as it is believed; one line names the others."""
        latest = self.ledger.latest_stages(self.run_id)
        foreign = [stage for stage, event in latest.items() if not is_signed(event)]
        if foreign:
            said = f"{', '.join(map(visible, foreign))}: not recorded by skillrun for this user"
            print(
                f"skillrun: {said}: not believed, and examined again", file=sys.stderr, flush=True
            )
        return {stage: event for stage, event in latest.items() if stage not in foreign}

    def _show(self, stage: str, *, hold: bool) -> None:
        """Tells the watcher of a stage; those that wait for the proof, and those between them, are
        held until then.
        """
        self.held.append(stage)
        if hold and not self.proof_done and self._awaits_proof():
            return
        self._tell()

    def _tell(self) -> None:
        for stage in self.held:
            self.watcher.stage_ends(self.shown[self.places[stage]])
        self.held.clear()

    def _awaits_proof(self) -> bool:
        """Something was read that a proof may still speak of."""
        read = self._proven.intersection(self.results)
        return self._clean() and any(self._wants_proof(stage) for stage in read)

    def _is_behind_proof(self, stage: str) -> bool:
        """The first stage after those that a proof speaks of, with nothing open before it."""
        if self.proof_done or stage in self._proven or not self._clean():
            return False
        return self._proven <= self.results.keys()

    def _prove(self) -> None:
        """Stages that were read so far are proved by fault injection, once for all of them."""
        self.proof_done = True
        prover = self._prover
        left = [one for one in self.planned if self._wants_proof(one.stage.ID)]
        if prover is None or not left:
            return
        begun = time.monotonic()
        with self.case.tree.recording() as lookups:
            report = prover.prove_case(self.case)
        record = prover.record_proof(report)
        told = [one.stage.ID for one in left if one.stage.ID in self._proven]
        for planned in left:
            more = partial(prover.add_proof, planned.stage.ID, report=report, told=told)
            self._examine(planned, begun, more, lookups, record)
            # The proof belongs to the first stage that it speaks of.
            begun, record = (
                time.monotonic(),
                {},
            )
        if self.after_proof is not None:
            self.after_proof(self.case)

    @cached_property
    def _prover(self) -> Prover[Any] | None:
        return self.code.prover() if self.code.prover is not None else None

    @cached_property
    def _proven(self) -> frozenset[str]:
        """The stages that a proof speaks of."""
        return frozenset(self._prover.PROVEN if self._prover is not None else ())

    def _wants_proof(self, stage: str) -> bool:
        """Passed by reading alone, or resting on what could not be read."""
        from skillrun.core.verdict import Status
        from skillrun.runner.unproved import has_not_read, is_unproved

        result = self.results.get(stage)
        if result is None or "proof" in result.facts:
            return False
        if stage in self._proven:
            return result.status == Status.PASSED
        return is_unproved(result) and has_not_read(result) and self._explain_no_proof() is None

    def _explain_no_proof(self) -> Finding | None:
        """Why no proof is made; None where one can be made."""
        prover = self._prover
        if prover is None:
            return None
        return self.case.once("no-proof", lambda: prover.explain_no_proof(self.case))

    def _clean(self) -> bool:
        """Asked before every stage: to look at all results each time would be quadratic in a
        skill's steps.
        """
        return not self.open

    def _note_whether_open(self, stage: str, result: StageResult) -> None:
        from skillrun.core.verdict import Status
        from skillrun.runner.unproved import is_unproved

        done = (Status.PASSED, Status.NOT_APPLICABLE, Status.WAIVED)
        if result.status in done or is_unproved(result) or _only_asks(result):
            self.open.discard(stage)
        else:
            self.open.add(stage)

    def _visit(self, planned: Planned, event: dict[str, Any] | None) -> None:
        from skillrun.runner.checkpoint import is_done
        from skillrun.runner.codec import result_of

        begun = time.monotonic()
        cached = is_done(self.case, planned.stage, event)
        if cached and event is not None:
            self._keep(planned, result_of(event["data"]["result"]), cached=True, duration_ms=0)
            return
        self._examine(planned, begun, partial(self._said_unproved, planned.stage.ID))

    def _said_unproved(self, stage: str, result: StageResult) -> StageResult:
        """With a note where the job is not proved: then reading is all there will be.

        Where the spec asks for a proof that cannot be made, or where something could not be read
        and no proof will say, the stage is pending.
        """
        from skillrun.core.verdict import Status
        from skillrun.runner.unproved import NOT_POSSIBLE, as_not_read, as_unproved, has_not_read

        if self._prover is None or result.status != Status.PASSED:
            return result
        if stage not in self._proven:
            # What no judge speaks of is answered once the proof has run the handler.
            return as_not_read(stage, result) if has_not_read(result) else result
        why = self._explain_no_proof()
        if why is None:
            return result
        if why.rule == NOT_POSSIBLE or has_not_read(result):
            return as_unproved(stage, result, [why], "prove")
        return replace(
            result, findings=(*result.findings, why), facts={**result.facts, "proof": "none"}
        )

    def _examine(
        self,
        planned: Planned,
        begun: float,
        more: Callable[[StageResult], StageResult] = lambda result: result,
        rests_too: Iterable[Lookup] = (),
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Examines a stage and commits what it found; `more` adds what was found elsewhere, from
        `rests_too`.

        `record`: more for the ledger alone.
        """
        from skillrun.runner.checkpoint import basis, fingerprint
        from skillrun.runner.codec import result_json
        from skillrun.runner.excerpts import excerpts
        from skillrun.runner.plugins import examine_stage

        stage = planned.stage
        self.case.clean = self._clean()
        with self.case.tree.recording() as lookups:
            result = more(examine_stage(self.code, stage, self.case))
            self.case.tree.record(rests_too)
        result = self.waived(stage.ID, result)
        took = time.monotonic() - begun
        rests_on = basis(self.case, stage)
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
                **(record or {}),
            },
        )
        self.ledger.append(
            self.run_id, [event], evidence=[EvidenceRow.of(item) for item in result.evidence]
        )
        self._keep(planned, result, cached=False, duration_ms=int(took * 1000))

    def _put_off(self, planned: Planned, why: str) -> None:
        from skillrun.core.verdict import StageResult, Status

        waiver = self.waivers.get(planned.stage.ID)
        if waiver is not None and planned.stage.COSTLY:
            self._keep(
                planned,
                StageResult(Status.WAIVED, None, summary=waiver_words(waiver)),
                cached=False,
                duration_ms=0,
            )
            return
        self._keep(
            planned, StageResult(Status.PENDING, None, summary=why), cached=False, duration_ms=0
        )

    def waived(self, item: str, result: StageResult) -> StageResult:
        from skillrun.core.verdict import Status

        waiver = self.waivers.get(item)
        if waiver is None or result.status in (Status.PASSED, Status.NOT_APPLICABLE):
            return result
        return replace(result, status=Status.WAIVED, next=(), summary=waiver_words(waiver))

    def _keep(
        self, planned: Planned, result: StageResult, *, cached: bool, duration_ms: int
    ) -> None:
        from skillrun.runner.report import finding_json, stage_json

        self.results[planned.stage.ID] = result
        self._note_whether_open(planned.stage.ID, result)
        stage = stage_json(
            planned, result, cached=cached, duration_ms=duration_ms, skill_file=self.skill_file
        )
        position = self.places.get(planned.stage.ID)
        if position is not None:
            stage["duration_ms"] += self.shown[position]["duration_ms"]
            self.shown[position] = stage
            return
        if (
            not self.shown
        ):  # what the text of the skill lacks belongs to no stage: it is said with the first
            stage["findings"] += [finding_json(finding) for finding in self.missing_steps]
        self.places[planned.stage.ID] = len(self.shown)
        self.shown.append(stage)


def _only_asks(result: StageResult) -> bool:
    """Nothing is wrong, somebody has to agree: the stages after it say what they would run, too."""
    return bool(result.next) and all(action.action == "consent" for action in result.next)


def waiver_words(waiver: Waiver) -> str:
    return f"waived by {waiver.by}: {waiver.reason}"
