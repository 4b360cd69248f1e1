"""Every rule by which a judge names a risk: what no promise of the spec covers.

What breaks a declared guarantee, or is not idempotent, not bounded, not ended after a permanent
error or not observable, is refuted and never a risk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from skillrun.core.verdict import RiskGrade
from skillrun.proof.reference import HINT, REFUTED, RISK, Judgement, Reference


@dataclass(frozen=True)
class RiskRule:
    """One kind of risk. `name` is what a person accepts it by, and what `quality_bar.risks` makes
    contract by.
    """

    name: str
    part: str  # of the spec, and so the stage, that it stands beside
    grades: tuple[RiskGrade, ...]  # that it may have, the worst first
    cause: str  # one sentence, without a full stop
    closes: str  # what to do so that it is gone, in the imperative


_RULES = (
    RiskRule(
        name="broker-lost",
        part="dead-letter",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="nothing but the message knows that the job is still to be done",
        closes=(
            "have a sweep publish again what the database shows as not done, and name it in the"
            " spec: recovers"
        ),
    ),
)

RISKS = {rule.name: rule for rule in _RULES}
"""Name -> rule."""


def name_risk(
    name: str,
    grade: RiskGrade,
    message: str,
    *,
    effect: str | None = None,
    events: tuple[int, ...] = (),
    expected: str = "",
    seen: str = "",
) -> Judgement:
    """The judgement by which a judge says that there is a risk. KeyError, ValueError: the registry
    knows no such rule, or not with this grade.
    """
    if grade not in RISKS[name].grades:
        raise ValueError(f"{name} is never {grade}")
    return Judgement(RISK, name, message, effect, events, expected, seen, grade)


def hold_to_contract(found: Iterable[Judgement], reference: Reference) -> list[Judgement]:
    """The risks that the repository has made contract are refutations."""
    held = []
    for judgement in found:
        if judgement.verdict == RISK and judgement.rule in reference.contract:
            judgement = replace(judgement, verdict=REFUTED)
        held.append(judgement)
    return held


def set_aside(judgement: Judgement, why: str) -> Judgement:
    """A risk that this history cannot show: said, so that nobody takes silence for safety."""
    return Judgement(HINT, judgement.rule, f"the risk {judgement.rule} was not judged: {why}")
