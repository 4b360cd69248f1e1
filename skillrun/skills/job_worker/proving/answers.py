"""What a proof answers of what the stages have read.

`ANSWERS` says for each promise (`proof/promises.py`) which rules of the stages and of the libraries
speak of the same: where it is proved, their findings were wrong, and are dropped and recorded. A
rule that stands nowhere here is answered by no proof: isolation levels, what is kept in Redis, real
clocks, options of the worker, other senders, and what a stand-in stands for (`docs/proof.md`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding, Severity
from skillrun.proof.judgement import Verdict
from skillrun.repo.places import is_plainly_test
from skillrun.runner.findings import is_not_read
from skillrun.skills.job_worker.stages.handler import WIRING_NOT_READ

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.skills.job_worker.job_case import JobCase

PROMISES_OF_STAGE: dict[str, tuple[str, ...]] = {
    "idempotency": ("effects", "state", "publish"),
    "retry": ("attempts", "delays", "ends"),
    "dead-letter": ("dead_letter",),
    "observability": ("logs",),
}
"""Stage -> the promises that it takes its verdict from."""

ANSWERS: dict[str, tuple[str, ...]] = {
    # Killed, delivered twice and twice at once, nothing happened twice and nothing was lost.
    "effects": (
        "idempotency.store-not-written",
        "idempotency.store-not-used",
        "idempotency.store-not-checked",
        "idempotency.store-not-unique",
        "idempotency.no-table",
        "idempotency.key-not-passed",
        "idempotency.key-not-from-fields",
        "idempotency.key-not-read",
        "idempotency.guard-not-judged",
        "handler.no-adapter",
        "handler.effect-not-reached",
        "*.check-then-act",
        "*.unlocked-poll",
        "*.marked-before-effect",
        "*.marked-after-batch",
        "*.failed-marked-done",
    ),
    "state": (),
    # Errors of each listed class came from each effect.
    "attempts": (
        "retry.unread",
        "retry.max-attempts-differs",
        "retry.transient-not-retried",
        "*.retry-unbounded",
        "*.retry-everything",
        "*.permanent-retried",
        "*.transient-not-retried",
        "*.transient-given-up",
        "*.swallowed-exception",
        "*.plain-exception",
        "*.retry-swallowed",
        "*.tries-below-spec",
        "*.retries-missing",
        "*.retries-twice",
        "*.no-retry",
        "*.attempt-is-always-one",
        "*.attempts-off-by-one",
        "*.retry-rolled-back",
        "*.no-retry-middleware",
        "*.retry-not-asked",
        "*.runs-not-retries",
    ),
    # The time between two attempts was measured.
    "delays": (
        "retry.backoff-differs",
        "*.backoff-without-delay",
        "*.retry-without-delay",
        "*.retry-without-defer",
        "*.retry-at-once",
        "*.no-wait",
    ),
    # The dead letters of each job that was given up were counted.
    "dead_letter": (
        "dead-letter.not-written",
        "dead-letter.unknown-place",
        "*.permanent-not-recorded",
        "*.thrown-not-recorded",
        "*.failure-unrecorded",
        "*.last-try-unheard",
        "*.record-rolled-back",
        "*.given-up-as-successful",
        "*.failed-at-every-attempt",
        "*.failure-each-attempt",
        "*.record-each-time",
        "*.recorded-each-time",
        "*.record-every-attempt",
        "*.on-failure-every-time",
    ),
    # A worker of the library has loaded the handler and run it.
    "ends": (
        "handler.not-registered",
        "handler.signature-differs",
        "*.never-runs",
        "*.context-first",
        "*.periodic-timestamp",
    ),
    # Every message came out of the application's own call.
    "publish": (
        "handler.not-wired",
        "handler.not-enqueued",
        "handler.enqueuer-not-read",
    ),
    "logs": (
        "observability.ran",
        "observability.succeeded",
        "observability.failed",
        "observability.retries",
        "observability.no-key-fields",
    ),
}
"""Promise -> the rules that it answers; "*" stands for any library."""

_NEEDS: dict[str, tuple[str, ...]] = {
    "idempotency.store-not-unique": ("at-once",),
    "*.check-then-act": ("at-once",),
    "*.unlocked-poll": ("at-once",),
    "idempotency.key-not-from-fields": ("distinct", "varied"),
    "*.marked-before-effect": ("kill",),
    "*.marked-after-batch": ("kill",),
    "*.failed-marked-done": ("error", "exhaustion"),
    "*.retry-everything": ("permanent",),
    "*.permanent-retried": ("permanent",),
    "*.permanent-not-recorded": ("permanent",),
    "*.thrown-not-recorded": ("permanent",),
    "retry.transient-not-retried": ("error", "exhaustion"),
    "*.transient-not-retried": ("error", "exhaustion"),
}
"""Rule -> the families of which one must have been run: the others show nothing of it."""

_QUESTIONS = {
    "observability.ran": "ran",
    "observability.succeeded": "succeeded",
    "observability.failed": "why",
    "observability.retries": "retry",
    "observability.no-key-fields": "ran",
}
"""Rule -> the question that the logs were asked."""

_BLOCKING = (Severity.BLOCKER, Severity.ERROR)


@dataclass(frozen=True)
class Disagreement:
    """A reading that a proof contradicts: a fault of the reading."""

    rule: str
    read: str
    path: str | None
    line: int | None
    proof: str
    schedules: int

    def as_json(self) -> dict[str, Any]:
        """As a stage's facts and the ledger keep it."""
        return asdict(self)


def is_blocking(finding: Finding) -> bool:
    """Whether it stops its stage."""
    return finding.severity in _BLOCKING


def find_promise(rule: str) -> str | None:
    """The promise that a rule of a reading speaks of; None where no proof could answer it."""
    names = _name_both_ways(rule)
    for promise, rules in ANSWERS.items():
        if names.intersection(rules):
            return promise
    return None


def can_be_answered(finding: Finding) -> bool:
    """Whether some proof could answer it."""
    if finding.rule == WIRING_NOT_READ:
        return False
    return is_not_read(finding) or find_promise(finding.rule) is not None


def is_answered(
    stage: str, finding: Finding, report: Mapping[str, Any], case: JobCase | None = None
) -> bool:
    """Whether this proof has shown that what a finding says, or asks, is not so."""
    # What sends the job is another question: a delivery says nothing of it.
    if finding.rule == WIRING_NOT_READ:
        return False
    if is_not_read(finding):
        return is_stage_proved(stage, report)
    promise = find_promise(finding.rule)
    if promise is None or not is_proved(promise, report):
        return False
    return _was_tried(finding, report) and _is_sound(finding, case)


def is_proved(promise: str, report: Mapping[str, Any]) -> bool:
    """Whether a promise was tried, and kept in every schedule."""
    found = report["properties"].get(promise)
    return found is not None and found["verdict"] == Verdict.PROVED and found["schedules"] > 0


def is_stage_proved(stage: str, report: Mapping[str, Any]) -> bool:
    """Whether each promise of a stage that was tried was kept; of a stage of which no judge speaks,
    whether the handler ran to its end.
    """
    promises = PROMISES_OF_STAGE.get(stage, ("ends",))
    tried = []
    for name in promises:
        if name in report["properties"]:
            tried.append(name)
    return bool(tried) and all(is_proved(name, report) for name in tried)


def make_disagreement(finding: Finding, report: Mapping[str, Any]) -> Disagreement | None:
    """What is recorded of a finding that a proof has answered; None for what blocked nothing."""
    promise = find_promise(finding.rule)
    if promise is None or not is_blocking(finding):
        return None
    found = report["properties"][promise]
    return Disagreement(
        finding.rule,
        finding.message,
        finding.path,
        finding.line,
        f"{promise.replace('_', ' ')} {found['verdict']}",
        found["schedules"],
    )


def _name_both_ways(rule: str) -> set[str]:
    """The rule itself, and the one of any library."""
    return {rule, f"*.{rule.partition('.')[2]}"}


def _was_tried(finding: Finding, report: Mapping[str, Any]) -> bool:
    """Whether a schedule showed what this rule is about."""
    question = _QUESTIONS.get(finding.rule)
    if question is not None:
        return bool(report["log_answers"][question]["by"] != "not asked")
    families: Collection[str] = report["schedules"]["families"]
    for name in _name_both_ways(finding.rule):
        if name in _NEEDS and not any(family in families for family in _NEEDS[name]):
            return False
    return True


def _is_sound(finding: Finding, case: JobCase | None) -> bool:
    """Whether the job that was proved is the one that the reading speaks of."""
    if case is None or case.spec is None:
        return True
    spec = case.spec
    if finding.rule == "handler.signature-differs":
        return _has_whole_examples(spec)
    if finding.rule == "idempotency.no-table":
        # What made the table has to be the repository's own, and not the spec.
        setup = (spec.proof.setup if spec.proof else None) or ""
        return bool(setup) and "create table" not in setup.lower()
    if finding.rule in ANSWERS["publish"] and spec.enqueue is not None:
        caller = case.project.find(spec.enqueue.call)
        return caller is not None and not is_plainly_test(caller.path)
    return True


def _has_whole_examples(spec: JobSpec) -> bool:
    """Every field of the payload is in one of them."""
    given: set[str] = set()
    for example in spec.examples:
        if isinstance(example, dict):
            given |= example.keys()
    return given.issuperset((spec.payload or {}).get("properties", ()))
