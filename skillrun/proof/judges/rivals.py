"""What becomes of a change that somebody else commits while the job runs.

No promise of a spec covers it: each is a risk. Whoever notices, and says so in a dead letter, a row
of its own, a warning or an error, has done what can be done: an effect cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History, is_loud
from skillrun.proof.judges.effects import find_other_value, strip_numbers
from skillrun.proof.judges.money import read_amounts
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Judgement, Reference
from skillrun.proof.rivals import Rivalry


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """A change that is overwritten, and a decision that is ignored."""
    for rivalry in history.rivalries:
        if rivalry.landed is None:
            continue
        if rivalry.rival.is_decision:
            yield from _judge_decision(history, reference, rivalry)
            continue
        if rivalry.overwritten:
            yield _tell_change(rivalry)
        yield from _judge_keys(history, reference, rivalry)


def _tell_change(rivalry: Rivalry) -> Judgement:
    row, lost = rivalry.rival.row, rivalry.overwritten
    names, first = ", ".join(lost), lost[0]
    return name_risk(
        "rival-overwritten",
        RiskGrade.MINOR if rivalry.is_of_nobody(lost) else RiskGrade.LOST,
        f"what somebody else changed in {row.table.name} ({names}) while the job ran is overwritten"
        " with what the job had read before",
        expected=f"{first} = {rivalry.written[first]!r}",
        seen=f"{first} = {rivalry.final[first]!r}",
    )


def _judge_keys(history: History, reference: Reference, rivalry: Rivalry) -> Iterator[Judgement]:
    """One key stands for one thing: its receiver keeps the first call."""
    for effect in reference.effects:
        if effect.guarantee not in (None, "keyed") or effect.key_arg is None:
            continue
        first: dict[str, Event] = {}
        for call in history.performed(effect.name):
            earlier = first.setdefault(str(call["key"]), call)
            if not _says_another_thing(reference, call, earlier):
                continue
            yield name_risk(
                "key-reused",
                _grade_arguments(call, earlier, rivalry),
                f"{rivalry.rival.row.table.name} was changed between two attempts: {effect.name} is"
                " called again with the same key and other arguments",
                effect=effect.name,
                events=(earlier.number, call.number),
                expected=str(earlier["args"]),
                seen=str(call["args"]),
            )
            return


def _says_another_thing(reference: Reference, call: Event, earlier: Event) -> bool:
    """An amount, a flag or a text that two single runs agree on. Times and counters may differ."""
    later = reference.later or reference.once
    again = {str(one["key"]): one for one in later.performed(str(call["effect"]))}
    usual = again.get(str(call["key"]), earlier)
    if strip_numbers(usual) != strip_numbers(earlier):
        return False
    is_other_text = strip_numbers(call) != strip_numbers(earlier)
    return is_other_text or bool(find_other_value(call, earlier, usual))


def _grade_arguments(call: Event, earlier: Event, rivalry: Rivalry) -> RiskGrade:
    """Another amount under the same key: the receiver keeps the first, and the rows say the
    second.
    """
    before = read_amounts(earlier)
    for name, value in read_amounts(call).items():
        if name not in before or before[name] == value:
            continue
        told: list[str] = []
        for column, written in rivalry.written.items():
            if str(written) == str(value):
                told.append(column)
        # Where the amount comes from is not known, or somebody's code changes it.
        if not told or not rivalry.is_of_nobody(told):
            return RiskGrade.MONEY
    return RiskGrade.MINOR


def _judge_decision(
    history: History, reference: Reference, rivalry: Rivalry
) -> Iterator[Judgement]:
    column = rivalry.rival.column or ""
    value, final = rivalry.rival.value, rivalry.final.get(column)
    landed = rivalry.landed or 0
    done = [event for event in history.performed() if event.number > landed]
    numbers = tuple(event.number for event in done)
    shown = f"{rivalry.rival.row.table.name}.{column}"
    names = ", ".join(dict.fromkeys(str(event["effect"]) for event in done))
    if rivalry.overwritten:
        after = f", and {names} took place after it" if done else ""
        yield name_risk(
            "rival-overwritten",
            _grade(rivalry, RiskGrade.MONEY if done else RiskGrade.LOST),
            f"somebody else set {shown} to {value!r} while the job ran; the job overwrote it with"
            f" {final!r}{after}",
            events=numbers,
            expected=f"{column} = {value!r}",
            seen=f"{column} = {final!r}",
        )
    elif rivalry.rival.comes_later:
        return  # the end is that of the job first, and the decision then
    elif history.performed() and not _is_told(history, reference, rivalry):
        when = "after" if done else "before"
        names = names or ", ".join(dict.fromkeys(str(e["effect"]) for e in history.performed()))
        yield name_risk(
            "rival-ignored",
            _grade(rivalry, RiskGrade.MONEY),
            f"somebody else set {shown} to {value!r} while the job ran; {names} took place {when}"
            " that, and nothing says so",
            events=numbers,
            expected="no effect, or a record that an operator finds",
            seen=f"{column} = {final!r}",
        )


def _grade(rivalry: Rivalry, worst: RiskGrade) -> RiskGrade:
    """A value that the job itself writes may be another delivery's, which promises cover; one that
    nobody writes comes from a person's hand at most.
    """
    return RiskGrade.MINOR if rivalry.rival.is_minor else worst


def _is_told(history: History, reference: Reference, rivalry: Rivalry) -> bool:
    """Whether an operator learns of it."""
    letters, usual = history.dead_letters or 0, reference.once.dead_letters or 0
    if rivalry.left_more or letters > usual:
        return True
    later = [event for event in history.events if event.number > (rivalry.landed or 0)]
    return any(map(is_loud, later))
