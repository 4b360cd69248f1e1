"""What becomes of a change that somebody else commits while the job runs.

No promise of a spec covers it: each is a risk. Whoever notices, and says so in a dead letter, a row
of its own, a warning or an error, has done what can be done: an effect cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History, is_loud
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.effect_arguments import find_other_value, strip_numbers
from skillrun.proof.judges.money import only_tells, read_amounts
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, count_new_letters
from skillrun.proof.rivals import Rivalry


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the job overwrites what somebody else changed, or ignores what somebody
    else decided.
    """
    for rivalry in history.rivalries:
        if rivalry.landed is None:
            continue
        if rivalry.rival.is_decision:
            yield from _judge_decision(history, reference, rivalry)
            continue
        if rivalry.overwritten:
            yield _name_overwritten(rivalry)
        yield from _judge_keys(history, reference, rivalry)


def _name_overwritten(rivalry: Rivalry) -> Judgement:
    """The risk of columns that the job set back to what it had read before."""
    row, lost = rivalry.rival.row, rivalry.overwritten
    first = lost[0]
    grade = RiskGrade.LOST
    if rivalry.is_of_nobody(lost):
        grade = RiskGrade.MINOR
    return name_risk(
        "rival-overwritten",
        grade,
        f"what somebody else changed in {row.table.name} ({', '.join(lost)}) while the job ran is"
        " overwritten with what the job had read before",
        expected=f"{first} = {rivalry.written[first]!r}",
        seen=f"{first} = {rivalry.final[first]!r}",
    )


def _judge_keys(history: History, reference: Reference, rivalry: Rivalry) -> Iterator[Judgement]:
    """Names a risk where one key stands for two things: its receiver keeps the first call."""
    for effect in reference.effects:
        if effect.promise != "keyed" or effect.key_arg is None:
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
    """How bad another call under the same key is. With another amount in it, it is a matter of
    money: the receiver keeps the first, and the rows say the second.
    """
    before = read_amounts(earlier)
    for name, value in read_amounts(call).items():
        if name not in before or before[name] == value:
            continue
        sources: list[str] = []
        for column, written in rivalry.written.items():
            if str(written) == str(value):
                sources.append(column)
        # Where the amount comes from is not known, or somebody's code changes it.
        if not sources or not rivalry.is_of_nobody(sources):
            return RiskGrade.MONEY
    return RiskGrade.MINOR


def _judge_decision(
    history: History, reference: Reference, rivalry: Rivalry
) -> Iterator[Judgement]:
    """Names a risk where the job overwrites or ignores what somebody decided while it ran, such as
    that an order is void.
    """
    column = rivalry.rival.column or ""
    value, final = rivalry.rival.value, rivalry.final.get(column)
    landed = rivalry.landed or 0
    all_done = history.performed()
    done_after = [event for event in all_done if event.number > landed]
    numbers = tuple(event.number for event in done_after)
    shown = f"{rivalry.rival.row.table.name}.{column}"
    if rivalry.overwritten:
        after, worst = "", RiskGrade.LOST
        if done_after:
            after = f", and {_list_effects(done_after)} took place after it"
            if not _only_tell(done_after, reference):
                worst = RiskGrade.MONEY
        yield name_risk(
            "rival-overwritten",
            _grade_decision(rivalry, worst),
            f"somebody else set {shown} to {value!r} while the job ran; the job overwrote it with"
            f" {final!r}{after}",
            events=numbers,
            expected=f"{column} = {value!r}",
            seen=f"{column} = {final!r}",
        )
    elif rivalry.rival.comes_later:
        return  # the end is that of the job first, and the decision then
    elif all_done and not _was_told(history, reference, rivalry):
        when = "before"
        if done_after:
            when = "after"
        worst = RiskGrade.MONEY
        if _only_tell(all_done, reference):
            worst = RiskGrade.MINOR
        yield name_risk(
            "rival-ignored",
            _grade_decision(rivalry, worst),
            f"somebody else set {shown} to {value!r} while the job ran;"
            f" {_list_effects(done_after or all_done)} took place {when} that, and nothing says so",
            events=numbers,
            expected="no effect, or a record that an operator finds",
            seen=f"{column} = {final!r}",
        )


def _list_effects(calls: Iterable[Event]) -> str:
    """The names of the effects that were called, each once, as a message lists them."""
    return ", ".join(dict.fromkeys(str(call["effect"]) for call in calls))


def _only_tell(calls: Iterable[Event], reference: Reference) -> bool:
    """Whether all of these effects are messages to a person: one too many costs a word of regret."""
    effects = {effect.name: effect for effect in reference.effects}
    by_name: dict[str, list[Event]] = {}
    for call in calls:
        by_name.setdefault(str(call["effect"]), []).append(call)
    for name, made in by_name.items():
        if name not in effects or not only_tells(effects[name], made):
            return False
    return bool(by_name)


def _grade_decision(rivalry: Rivalry, worst: RiskGrade) -> RiskGrade:
    """How bad it is that a decision does not hold: `worst`, or minor where the value comes from a
    person's hand at most, or is one that the job itself writes and promises cover.
    """
    if rivalry.rival.is_minor:
        return RiskGrade.MINOR
    return worst


def _was_told(history: History, reference: Reference, rivalry: Rivalry) -> bool:
    """Whether an operator learns that the job met somebody else's change."""
    if rivalry.left_more or count_new_letters(history, reference) > 0:
        return True
    later = [event for event in history.events if event.number > (rivalry.landed or 0)]
    return any(map(is_loud, later))
