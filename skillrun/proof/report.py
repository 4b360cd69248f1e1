"""A proof as one JSON document (schemas/proof.v1.json): what a person and an agent see is made of
this alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.proof.assumptions import assumptions
from skillrun.proof.cause import cause
from skillrun.proof.judges.attempts import count_attempts, measured_delays
from skillrun.proof.judges.logs import QUESTIONS
from skillrun.proof.next_steps import next_step
from skillrun.proof.observed import is_weaker, observe
from skillrun.proof.reference import HINT, was_met
from skillrun.proof.schedule import ONCE, parse_schedule
from skillrun.proof.story import replay_command, story
from skillrun.proof.transitions import count_transitions
from skillrun.text import masked, masked_json, visible

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.proof.confirm.interface import Confirmed, Seen
    from skillrun.proof.history import Event, History
    from skillrun.proof.judges.logs import Answer
    from skillrun.proof.reference import Judgement
    from skillrun.proof.result import Proof, Target, Tried, Witness

_SHOWN = 500


def proof_report(
    proof: Proof, target: Target, options: str = "", only: str | None = None
) -> dict[str, Any]:
    """The document. `options` is what a replay needs to find the job, e.g. " --spec FILE".

    `only`: the one schedule that was asked for. What is told by comparing many schedules is left
    open then.
    """
    effects = [_effect(effect, proof) for effect in target.spec.effects or ()]
    document: dict[str, Any] = {
        "schema_version": 1,
        "verdict": proof.verdict,
        "job": shown(target.spec.job),
        "handler": shown(target.spec.handler or ""),
        "library": shown(str(proof.facts.get("library") or "none")),
        "network": "walled" if proof.walls.has_network else "open",
        "sandbox": {"kind": proof.walls.kind, "missing": list(proof.walls.missing)},
        "given": _given(proof, only),
        "bounds": bounds(proof),
        "assumptions": [shown(text) for text in assumptions(proof, target)],
        "schedules": {"total": sum(_families(proof).values()), "families": _families(proof)},
        "skipped": {family: shown(why) for family, why in sorted(proof.plan.skipped.items())},
        "cut": dict(sorted(proof.plan.cut.items())),
        "transitions": count_transitions(tried.history for tried in proof.tried),
        "effects": effects,
        "attempts": _attempts(proof, target),
        "delays": _delays(proof, target),
        "dead_letters": _dead_letters(proof, target),
        "log_answers": _log_answers({} if only else proof.answers),
        "witnesses": [_witness(witness, options) for witness in proof.witnesses],
        "undeclared": [shown(j.message) for j in proof.incomplete if j.rule == "effect.undeclared"],
        "incomplete": [_incomplete(judgement) for judgement in proof.incomplete],
        "hints": [*_hints(proof), *(effect["hint"] for effect in effects if effect["hint"])],
        **(
            {}
            if proof.confirmed is None
            else {"confirmed": [_confirmed(item) for item in proof.confirmed]}
        ),
        "duration_ms": proof.duration_ms,
    }
    whole: dict[str, Any] = masked_json(document)
    return whole


def shown(text: str, limit: int = _SHOWN) -> str:
    """Text of a repository: bounded, nothing hidden in it, no secret."""
    return visible(masked(text), limit=limit)


def _given(proof: Proof, only: str | None) -> dict[str, Any] | None:
    """What happened under the schedule that was asked for, or in a single run that went wrong."""
    wanted = str(parse_schedule(only)) if only else ""
    if any(judgement.rule == "single-run" for judgement in proof.incomplete):
        wanted = str(ONCE)
    tried = next((item for item in proof.tried if str(item.schedule) == wanted), None)
    if tried is None:
        return None
    boundaries = [] if was_met(tried.history) else _boundaries(proof)
    return {
        "schedule": wanted,
        "reached": was_met(tried.history),
        "boundaries": boundaries,
        "events": steps(tried),
    }


def _families(proof: Proof) -> dict[str, int]:
    """How many schedules of each were run, as `--list` counts them."""
    varied = [proof.varied] if proof.varied else []
    return dict(Counter(tried.schedule.family for tried in [*proof.tried, *varied]))


def bounds(proof: Proof) -> dict[str, Any]:
    """How far the search went: a verdict holds within these."""
    schedules = [tried.schedule for tried in proof.tried]
    boundaries = _boundaries(proof)
    found: dict[str, Any] = {
        "schedules": sum(_families(proof).values()),
        "deliveries_at_once": max((s.copies for s in schedules), default=1),
        "switches": max((sum(f.do == "switch" for f in s.faults) for s in schedules), default=0),
        "boundaries": len(boundaries),
        "kills": max((s.kills for s in schedules), default=0),
    }
    found["sentence"] = _sentence(found)
    return found


def _boundaries(proof: Proof) -> list[str]:
    return [str(event.boundary) for event in _boundary_events(proof)]


def _boundary_events(proof: Proof) -> list[Event]:
    once = proof.reference.once if proof.reference else None
    return [event for event in once.runs[0].events if event.boundary] if once and once.runs else []


def _sentence(found: Mapping[str, Any]) -> str:
    at_once, switches, kills = found["deliveries_at_once"], found["switches"], found["kills"]
    together = f"at most {_number(at_once, 'delivery', 'deliveries')} at once"
    return ", ".join(
        (
            _number(found["schedules"], "schedule"),
            f"{together} with <= {_number(switches, 'switch', 'switches')}",
            _number(found["boundaries"], "boundary", "boundaries"),
            "no kill" if not kills else "1 kill" if kills == 1 else f"1-{kills} kills",
        )
    )


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


# -- effects, attempts, delays, dead letters, logs


def _effect(effect: Effect, proof: Proof) -> dict[str, Any]:
    declared = effect.guarantee or "keyed"
    found: dict[str, Any] = {"name": effect.name, "declared": declared, "observed": "unknown"}
    found |= {"repeated": [], "lost": [], "hint": None}
    if proof.reference is None:
        return found
    seen = observe(effect, [tried.history for tried in proof.tried], proof.reference)
    found |= {"observed": seen.guarantee, "repeated": list(seen.repeated), "lost": list(seen.lost)}
    full = len({tried.schedule.family for tried in proof.tried}) > 2
    if proof.verdict == "proved" and full and is_weaker(declared, seen.guarantee):
        found["hint"] = (
            f"{effect.name} is declared {declared}, and was {seen.guarantee} in every schedule"
        )
    return found


def _exhaustions(proof: Proof) -> list[History]:
    found = [
        t.history
        for t in proof.tried
        if t.schedule.family == "exhaustion" and not t.schedule.has_crash
    ]
    return [history for history in found if was_met(history)]


def _attempts(proof: Proof, target: Target) -> dict[str, Any]:
    reference, found = proof.reference, _exhaustions(proof)
    declared = reference.max_attempts if reference else None
    seen = sorted({count_attempts(history, reference) for history in found}) if reference else []
    return {
        "declared": declared,
        "observed": seen,
        "unbounded_by_kills": proof.facts.get("bounded_kills") is False,
    }


def _delays(proof: Proof, target: Target) -> dict[str, Any]:
    retry = target.spec.retry
    declared = list(retry.delays()) if retry and retry.kind != "none" and retry.backoff else []
    longest = next((h for h in _exhaustions(proof) if not h.schedule.low_jitter), None)
    seen = [round(delay, 1) for delay in measured_delays(longest)] if longest else []
    jitter = bool(retry and retry.backoff and retry.backoff.jitter)
    return {"declared": declared, "observed": seen, "jitter": jitter}


def _dead_letters(proof: Proof, target: Target) -> dict[str, Any]:
    """How many a job that was given up leaves, for each way of giving it up."""
    letter = target.spec.dead_letter
    before = (proof.reference.once.dead_letters or 0) if proof.reference else 0
    found: dict[str, list[int]] = {"exhaustion": [], "permanent": [], "poison": []}
    for tried in proof.tried:
        count, family = tried.history.dead_letters, tried.schedule.family
        if (
            family in found
            and count is not None
            and not tried.schedule.has_crash
            and was_met(tried.history)
        ):
            found[family] = sorted({*found[family], count - before})
    declared = (
        None
        if letter is None
        else letter.kind
        if letter.where is None
        else f"{letter.kind} {letter.where}"
    )
    return {"declared": shown(declared) if declared else None, **found}


def _log_answers(answers: Mapping[str, Answer]) -> dict[str, Any]:
    return {
        name: {
            "question": words,
            "by": answer.by if (answer := answers.get(name)) else "not asked",
            "record": shown(answer.record, 200) if answer else "",
            "logger": shown(answer.logger, 100) if answer else "",
        }
        for name, words in QUESTIONS.items()
    }


def _incomplete(judgement: Judgement) -> dict[str, Any]:
    step = next_step(judgement)
    return {
        "rule": judgement.rule,
        "message": shown(judgement.message),
        "hint": shown(step) if step else None,
    }


def _hints(proof: Proof) -> list[str]:
    found = [j.message for tried in proof.tried for j in tried.judgements if j.verdict == HINT]
    return [shown(text) for text in dict.fromkeys(found)]


def _confirmed(item: Confirmed) -> dict[str, Any]:
    real = item.real
    return {
        "schedule": item.schedule,
        "simulated": _seen(item.simulated),
        "real": None if real is None else _seen(real),
        "agrees": item.agrees,
        "note": shown(item.note),
    }


def _seen(seen: Seen) -> dict[str, Any]:
    calls = seen.calls().items()
    return {
        "outcomes": list(seen.outcomes),
        "performed": [
            {"effect": name, "key": key and shown(key), "calls": count}
            for (name, key), count in calls
        ],
        "state": {name: shown(str(rows)) for name, rows in seen.state.items()},
        "dead_letters": seen.dead_letters,
        "delays": [round(delay, 1) for delay in seen.delays],
    }


# -- witnesses


def _witness(witness: Witness, options: str) -> dict[str, Any]:
    judgement, tried = witness.judgement, witness.tried
    return {
        "schedule": str(tried.schedule),
        "rule": judgement.rule,
        "message": shown(judgement.message),
        "effect": judgement.effect,
        "cause": cause(tried.history, judgement),
        "expected": shown(judgement.expected),
        "seen": shown(judgement.seen),
        "stable": witness.stable,
        "again": witness.again,
        "events": steps(tried),
        "replay": replay_of(witness, options),
    }


def replay_of(witness: Witness, options: str) -> str:
    """What the logs leave open shows in the comparison of many schedules: there, the whole proof is
    the replay.
    """
    if witness.judgement.rule.startswith("logs."):
        return f"skillrun prove{options}"
    return replay_command(witness.tried.schedule, options)


def steps(tried: Tried) -> list[dict[str, Any]]:
    """The story as JSON values."""
    return [
        {
            "number": step.number,
            "at_s": round(step.at_s, 1),
            "process": step.process,
            "text": step.text,
            "fault": step.fault,
            "path": visible(step.place[0]) if step.place else None,
            "line": step.place[1] if step.place else None,
        }
        for step in story(tried.history)
    ]


def plan_report(proof: Proof, target: Target) -> dict[str, Any]:
    """What `--list` shows: the boundaries of the single run, and the schedules that follow from
    them.
    """
    schedules = proof.plan.schedules
    return {
        "schema_version": 1,
        "job": shown(target.spec.job),
        "boundaries": [_boundary(event) for event in _boundary_events(proof)],
        "families": dict(Counter(schedule.family for schedule in schedules)),
        "skipped": {family: shown(why) for family, why in sorted(proof.plan.skipped.items())},
        "cut": dict(sorted(proof.plan.cut.items())),
        "transitions": count_transitions(tried.history for tried in proof.tried),
        "schedules": [str(schedule) for schedule in schedules],
        "incomplete": [_incomplete(judgement) for judgement in proof.incomplete],
    }


def _boundary(event: Event) -> dict[str, Any]:
    path, line = event.place or (None, None)
    return {
        "at": event.boundary,
        "kind": event["kind"],
        "path": visible(path) if path else None,
        "line": line,
    }
