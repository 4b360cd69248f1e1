"""Whether anything but Redis, or a cache, remembers that a job was done: it may come back empty."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import Event, History, find_keys, list_written_keys
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, is_kept


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where an effect takes place once more. The receiver of a keyed effect drops a
    repetition, and that of one that may be repeated was accepted.
    """
    yield from _judge_shared_keys(history, reference)
    if history.schedule.jobs:
        return
    yield from _judge_halfway(history, reference)
    for effect in reference.effects:
        calls = history.performed(effect.name)
        usual = reference.calls(effect.name)
        if len(calls) <= len(usual):
            continue
        is_new = find_keys(calls) - find_keys(usual)
        is_dropped = effect.promise in ("keyed", "convergent") and not is_new
        if is_dropped or effect.guarantee == "at_least_once":
            continue
        yield name_risk(
            "store-emptied",
            RiskGrade.MONEY,
            f"{effect.name} takes place again where {_name_store(reference)} has lost what the job"
            " wrote there",
            effect=effect.name,
            events=tuple(call.number for call in calls),
            expected=f"{len(usual)}",
            seen=f"{len(calls)}",
        )
        return


def _judge_halfway(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where a job is given up halfway, since what its first attempt had written down
    is gone: an effect has taken place, and a later one never does.
    """
    if history.schedule.redis_emptied is None or history.pending or history.hung:
        return
    is_given_up = bool(history.runs) and history.runs[-1].outcome == "failed"
    done = history.performed()
    if not done or not (is_given_up or is_kept(history, reference)):
        return
    for effect in reference.effects:
        if reference.calls(effect.name) and not history.performed(effect.name):
            said = (
                f"{done[0]['effect']} has taken place, and {effect.name} never does, where"
                f" {_name_store(reference)} has lost what the first attempt wrote there: the job is"
                " given up halfway"
            )
            yield name_risk(
                "store-emptied",
                RiskGrade.STUCK,
                said,
                effect=effect.name,
                events=(done[0].number,),
                expected="done at the next attempt",
                seen="given up",
            )
            return


def _name_store(reference: Reference) -> str:
    """What came back empty."""
    if any(map(list_written_keys, reference.once.events)):
        return "Redis"
    return "the cache"


def _judge_shared_keys(history: History, reference: Reference) -> Iterator[Judgement]:
    """A counter that begins anew gives a job the key of an earlier one: its receiver takes it for
    that one.
    """
    for call in find_shared_keys(history, reference):
        yield name_risk(
            "store-emptied",
            RiskGrade.MONEY,
            f"where {_name_store(reference)} has lost what the jobs wrote there, {call['effect']} is"
            " called with one key for two of them: its receiver drops the second one",
            effect=str(call["effect"]),
            events=(call.number,),
            expected="a key for each job",
            seen=str(call["key"]),
        )


def find_shared_keys(history: History, reference: Reference) -> Iterator[Event]:
    """The first call of each keyed effect whose key another job has used before it."""
    for effect in reference.effects:
        if effect.promise != "keyed":
            continue
        owners: dict[str, int] = {}
        for call in history.performed(effect.name):
            if call["key"] is None:
                continue
            job = history.delivery_of(call).job
            if owners.setdefault(str(call["key"]), job) != job:
                yield call
                break
