"""A verdict for each promise of the contract. The verdict of the whole is the worst of them.

Which rules of the judges speak of which promise stands in `JUDGED_BY`, and nowhere else. What
readings a promise answers, once it is proved, is `ANSWERS` of the job worker's `answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.log_answers import NOT_ASKED
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.reference import was_met

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.proof.history import History
    from skillrun.proof.result import Proof

JUDGED_BY: dict[str, tuple[str, ...]] = {
    "effects": ("effect.",),
    "state": ("state.", "process."),
    "attempts": ("attempts.",),
    "delays": ("delays.",),
    "dead_letter": ("dead-letter.", "poison."),
    "ends": ("attempts.unbounded",),
    "publish": ("payload.", "publish."),
    "logs": ("logs.",),
}
"""Promise -> the rules of the judges that refute it, or how their names begin."""

_BUT_LOGS = tuple(name for name in JUDGED_BY if name != "logs")
# What keeps one promise from its answer and says nothing of the others. Everything else that is
# incomplete keeps all of them open: what could not be judged may hide anything.
_KEEPS_OPEN: dict[str, tuple[str, ...]] = {
    "logs.": ("logs",),
    "dead-letter.": ("dead_letter",),
    "enqueue.not-repeatable": ("publish",),
    "distinct.none": ("effects", "state"),
    "state.no-database": ("effects", "state"),
    "state.idle": ("effects", "state"),
    "state.nothing": ("effects", "state"),
    "state.other-database": ("effects", "state"),
    "state.unread": ("effects", "state"),
    "state.volatile": ("effects", "state"),
    "store.one-writer": ("effects", "state"),
    "sweep.untried": ("effects", "state"),
    "effect.key-not-named": ("effects",),
    "effect.no-guarantee": ("effects",),
    "effect.hollow": ("effects", "state"),
    # An undeclared publish may be a retry, and an undeclared file a dead letter.
    "effect.undeclared": _BUT_LOGS,
}
# The part of the spec that a risk stands beside -> what it breaks where it is made contract.
_OF_PART = {
    "idempotency": ("effects",),
    "retry": ("attempts",),
    "dead-letter": ("dead_letter",),
    "observability": ("logs",),
}
_SHOWN_BY_ALL = ("state", "ends", "logs")
_GIVEN_UP = ("exhaustion", "permanent", "poison")


@dataclass(frozen=True)
class Promise:
    """What became of one promise. `schedules`: how many showed it. `reason`: why it is not
    proved.
    """

    verdict: Verdict
    schedules: int
    reason: str | None = None


def find_promises(rule: str) -> tuple[str, ...]:
    """The promises that a rule of the judges refutes; all of them where no table names it."""
    if rule in RISKS:
        return _OF_PART[RISKS[rule].part]
    found = tuple(name for name, rules in JUDGED_BY.items() if rule.startswith(rules))
    return found or tuple(JUDGED_BY)


def find_kept_open(rule: str) -> tuple[str, ...]:
    """The promises of which nothing is known where a judge ends with this incomplete rule."""
    for start, promises in _KEEPS_OPEN.items():
        if rule.startswith(start):
            return promises
    return tuple(JUDGED_BY)


def judge_promises(proof: Proof, spec: JobSpec) -> dict[str, Promise]:
    """The promises that were tried, or that something kept from being tried."""
    found: dict[str, Promise] = {}
    for name in JUDGED_BY:
        if name in proof.unpromised:
            continue
        count = _count_schedules(name, proof, spec)
        promise = _judge_promise(name, proof, count)
        # What nobody promised is in no schedule, and nothing is said of it.
        if count or promise.verdict != Verdict.PROVED:
            found[name] = promise
    return found


def _judge_promise(name: str, proof: Proof, count: int) -> Promise:
    for witness in proof.witnesses:
        if name in find_promises(witness.judgement.rule):
            return Promise(Verdict.REFUTED, count, witness.judgement.message)
    for judgement in proof.incomplete:
        if name in find_kept_open(judgement.rule):
            return Promise(Verdict.INCOMPLETE, count, judgement.message)
    # Only some kinds of refutation are shown as witnesses, and only those that came again.
    for judgement in _list_refutations(proof):
        if name in find_promises(judgement.rule):
            return Promise(
                Verdict.INCOMPLETE, count, f"seen, and not tried again: {judgement.message}"
            )
    return Promise(Verdict.PROVED, count)


def _list_refutations(proof: Proof) -> Iterable[Judgement]:
    tried = [*proof.tried]
    if proof.varied is not None:
        tried.append(proof.varied)
    for item in tried:
        if was_met(item.history):
            yield from item.list_judgements(Verdict.REFUTED)


def _is_published(history: History) -> bool:
    """Whether the application's own call published the job."""
    return any(delivery.op == "call" for delivery in history.deliveries)


def _count_schedules(name: str, proof: Proof, spec: JobSpec) -> int:
    """How many schedules had to keep a promise."""
    met = list(filter(was_met, proof.histories))
    if name == "effects":
        return len(met) + (proof.varied is not None)
    if name == "state" and (spec.proof is None or not spec.proof.state):
        return 0
    if name == "logs" and all(answer.by == NOT_ASKED.by for answer in proof.answers.values()):
        return 0
    if name == "publish":
        return sum(map(_is_published, met))
    if name in _SHOWN_BY_ALL:
        return len(met)
    return _count_families(met, _list_families(name, proof, spec))


def _count_families(met: Iterable[History], families: tuple[str, ...]) -> int:
    return sum(history.schedule.family in families for history in met)


def _list_families(name: str, proof: Proof, spec: JobSpec) -> tuple[str, ...]:
    """The families in which a promise about retries or their end shows."""
    if name == "dead_letter":
        has_record = spec.dead_letter is not None and spec.dead_letter.kind != "none"
        if has_record:
            return _GIVEN_UP
        return ()
    if proof.reference is None or proof.reference.max_attempts != 1:
        return ("exhaustion",)
    # A job that has one attempt is given up by its first error, and waits for nothing.
    if name == "delays":
        return ()
    return ("error", "exhaustion", "permanent")
