"""A proof as one JSON document (schemas/proof.v1.json): what a person and an agent see is made of
this alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skillrun.core.text import masked, masked_json, visible
from skillrun.proof.assumptions import assumptions
from skillrun.proof.cause import find_cause
from skillrun.proof.examples import find_part
from skillrun.proof.judgement import HOLDS, Verdict
from skillrun.proof.judges.log_answers import NOT_ASKED, QUESTIONS
from skillrun.proof.judges.met_errors import count_attempts
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.judges.waits import measure_delays
from skillrun.proof.next_steps import next_step
from skillrun.proof.observed import is_weaker, observe
from skillrun.proof.promises import judge_promises
from skillrun.proof.reference import was_met
from skillrun.proof.schedule import ONCE, parse_schedule
from skillrun.proof.story import replay_command, tell_shortly, tell_story
from skillrun.proof.transitions import count_transitions

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.proof.confirm.interface import Confirmed, ScheduleOutcome
    from skillrun.proof.history import Event, History
    from skillrun.proof.judgement import Judgement
    from skillrun.proof.judges.log_answers import Answer
    from skillrun.proof.result import Proof, Target, Tried, Witness

_SHOWN = 500
# A guarantee that no schedule contradicted is worth a hint once more than the single run and one
# family were tried.
_FEW_FAMILIES = 2


def proof_report(
    proof: Proof, target: Target, options: str = "", only: str | None = None
) -> dict[str, Any]:
    """The document. `options` is what a replay needs to find the job, e.g. " --spec FILE".

    `only`: the one schedule that was asked for. What is told by comparing many schedules is left
    open then.
    """
    families = _count_families(proof)
    effects = [_describe_effect(effect, proof) for effect in target.spec.effects or ()]
    document: dict[str, Any] = {
        "schema_version": 1,
        "verdict": _name_verdict(proof.verdict, only),
        "job": shown(target.spec.job),
        "handler": shown(target.spec.handler or ""),
        "library": shown(proof.facts.library or "none"),
        "network": "walled" if proof.walls.has_network else "open",
        "sandbox": {"kind": proof.walls.kind, "missing": list(proof.walls.missing)},
        "given": _describe_given(proof, only),
        "bounds": bounds(proof),
        "assumptions": list(map(shown, assumptions(proof, target))),
        "schedules": {"total": sum(families.values()), "families": families},
        "properties": _describe_promises(proof, target, only),
        "skipped": _describe_skipped(proof),
        "cut": dict(sorted(proof.plan.cut.items())),
        "transitions": count_transitions(proof.histories),
        "effects": effects,
        "attempts": _describe_attempts(proof, target),
        "delays": _describe_delays(proof, target),
        "dead_letters": _describe_dead_letters(proof, target),
        "log_answers": _describe_log_answers({} if only else proof.answers),
        "witnesses": [_describe_witness(witness, options) for witness in proof.witnesses],
        "risks": [_describe_risk(risk, options) for risk in proof.risks],
        "undeclared": [shown(j.message) for j in proof.incomplete if j.rule == "effect.undeclared"],
        "incomplete": [_describe_incomplete(one, options) for one in proof.incomplete],
        "hints": [*_collect_hints(proof), *filter(None, map(_hint_of, effects))],
    }
    if proof.confirmed is not None:
        document["confirmed"] = list(map(_describe_confirmed, proof.confirmed))
    document["duration_ms"] = proof.duration_ms
    whole: dict[str, Any] = masked_json(document)
    return whole


def _describe_skipped(proof: Proof) -> dict[str, str]:
    """Family -> why none of its schedules was run."""
    return {family: shown(why) for family, why in sorted(proof.plan.skipped.items())}


def _hint_of(effect: Mapping[str, Any]) -> str | None:
    hint: str | None = effect["hint"]
    return hint


def shown(text: str, limit: int = _SHOWN) -> str:
    """Text of a repository: bounded, nothing hidden in it, no secret."""
    return visible(masked(text), limit=limit)


def _describe_given(proof: Proof, only: str | None) -> dict[str, Any] | None:
    """What happened under the schedule that was asked for, or in a single run that went wrong."""
    tried = _find_given(proof, only)
    if tried is None:
        return None
    reached = was_met(tried.history)
    return {
        "schedule": str(tried.schedule),
        "reached": reached,
        "boundaries": [] if reached else _list_boundaries(proof),
        "events": steps(tried),
    }


def _find_given(proof: Proof, only: str | None) -> Tried | None:
    wanted = str(parse_schedule(only)) if only else ""
    if any(judgement.rule == "single-run" for judgement in proof.incomplete):
        wanted = str(ONCE)
    for tried in proof.tried:
        if str(tried.schedule) == wanted:
            return tried
    return None


def _name_verdict(verdict: Verdict, only: str | None) -> str:
    """The verdict in the document's words: one schedule that somebody gives proves nothing."""
    if only is not None and verdict is Verdict.PROVED:
        return HOLDS
    return verdict


def _describe_promises(proof: Proof, target: Target, only: str | None) -> dict[str, Any]:
    """A verdict for each promise of the contract that was tried."""
    found: dict[str, Any] = {}
    for name, promise in judge_promises(proof, target.spec).items():
        verdict = _name_verdict(promise.verdict, only)
        found[name] = {"verdict": verdict, "schedules": promise.schedules}
        if promise.reason is not None:
            found[name]["reason"] = shown(promise.reason)
    return found


def _count_families(proof: Proof) -> dict[str, int]:
    """How many schedules of each were run, as `--list` counts them."""
    run = list(proof.tried)
    if proof.varied:
        run.append(proof.varied)
    return dict(Counter(tried.schedule.family for tried in run))


def bounds(proof: Proof) -> dict[str, Any]:
    """How far the search went: a verdict holds within these."""
    at_once, switches, kills = 1, 0, 0
    for tried in proof.tried:
        schedule = tried.schedule
        at_once = max(at_once, schedule.copies)
        kills = max(kills, schedule.kills)
        switches = max(switches, [fault.do for fault in schedule.faults].count("switch"))
    found: dict[str, Any] = {
        "schedules": sum(_count_families(proof).values()),
        "deliveries_at_once": at_once,
        "switches": switches,
        "boundaries": len(_find_boundary_events(proof)),
        "kills": kills,
    }
    found["sentence"] = _write_sentence(found)
    return found


def _list_boundaries(proof: Proof) -> list[str]:
    return [str(event.boundary) for event in _find_boundary_events(proof)]


def _find_boundary_events(proof: Proof) -> list[Event]:
    """The boundaries of the single run."""
    if proof.reference is None or not proof.reference.once.runs:
        return []
    return [event for event in proof.reference.once.runs[0].events if event.boundary]


def _write_sentence(found: Mapping[str, Any]) -> str:
    at_once, switches, kills = found["deliveries_at_once"], found["switches"], found["kills"]
    together = f"at most {_write_number(at_once, 'delivery', 'deliveries')} at once"
    if not kills:
        deaths = "no kill"
    elif kills == 1:
        deaths = "1 kill"
    else:
        deaths = f"1-{kills} kills"
    return ", ".join(
        (
            _write_number(found["schedules"], "schedule", "schedules"),
            f"{together} with <= {_write_number(switches, 'switch', 'switches')}",
            _write_number(found["boundaries"], "boundary", "boundaries"),
            deaths,
        )
    )


def _write_number(count: int, one: str, many: str) -> str:
    word = one if count == 1 else many
    return f"{count} {word}"


# -- effects, attempts, delays, dead letters, logs


def _describe_effect(effect: Effect, proof: Proof) -> dict[str, Any]:
    declared = effect.promise
    found: dict[str, Any] = {"name": effect.name, "declared": declared or "none"}
    found |= {"observed": "unknown", "repeated": [], "lost": [], "hint": None}
    if proof.reference is None:
        return found
    part = find_part(proof, effect)
    if part.reference is None:
        return found
    seen = observe(effect, part.histories, part.reference)
    found |= {"observed": seen.guarantee, "repeated": list(seen.repeated), "lost": list(seen.lost)}
    is_full = len({tried.schedule.family for tried in proof.tried}) > _FEW_FAMILIES
    if proof.verdict is Verdict.PROVED and is_full and is_weaker(declared, seen.guarantee):
        found["hint"] = (
            f"{effect.name} is declared {declared}, and was {seen.guarantee} in every schedule"
        )
    return found


def _find_exhaustions(proof: Proof) -> list[History]:
    """The histories of an error that does not pass; a death in between changes the count."""
    found: list[History] = []
    for tried in proof.tried:
        schedule = tried.schedule
        if schedule.family == "exhaustion" and not schedule.has_crash and was_met(tried.history):
            found.append(tried.history)
    return found


def _describe_attempts(proof: Proof, target: Target) -> dict[str, Any]:
    reference = proof.reference
    declared, seen = None, set[int]()
    if reference is not None:
        declared = reference.max_attempts
        seen = {count_attempts(history, reference) for history in _find_exhaustions(proof)}
    return {
        "declared": declared,
        "observed": sorted(seen),
        "unbounded_by_kills": proof.facts.bounded_kills is False,
    }


def _describe_delays(proof: Proof, target: Target) -> dict[str, Any]:
    """As declared, and as measured where an error did not pass, with random waits at their
    longest.
    """
    retry = target.spec.retry
    declared: list[float] = []
    seen: list[float] = []
    jitter = False
    if retry is not None and retry.backoff is not None:
        jitter = bool(retry.backoff.jitter)
        if retry.kind != "none":
            declared = list(retry.delays())
    for history in _find_exhaustions(proof):
        if not history.schedule.low_jitter:
            seen = [round(delay, 1) for delay in measure_delays(history)]
            break
    return {"declared": declared, "observed": seen, "jitter": jitter}


def _describe_dead_letters(proof: Proof, target: Target) -> dict[str, Any]:
    """How many a job that was given up leaves, for each way of giving it up."""
    before = 0
    if proof.reference is not None:
        before = proof.reference.once.dead_letters or 0
    found: dict[str, list[int]] = {"exhaustion": [], "permanent": [], "poison": []}
    for tried in proof.tried:
        count, schedule = tried.history.dead_letters, tried.schedule
        if schedule.family not in found or schedule.has_crash or count is None:
            continue
        if was_met(tried.history):
            found[schedule.family] = sorted({*found[schedule.family], count - before})
    return {"declared": _name_dead_letter(target), **found}


def _name_dead_letter(target: Target) -> str | None:
    """ "table dead_jobs": what the spec declares."""
    letter = target.spec.dead_letter
    if letter is None:
        return None
    if letter.where is None:
        return shown(letter.kind)
    return shown(f"{letter.kind} {letter.where}")


def _describe_log_answers(answers: Mapping[str, Answer]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, words in QUESTIONS.items():
        answer = answers.get(name, NOT_ASKED)
        found[name] = {
            "question": words,
            "by": answer.by,
            "record": shown(answer.record, 200),
            "logger": shown(answer.logger, 100),
        }
    return found


def _describe_incomplete(judgement: Judgement, options: str) -> dict[str, Any]:
    step = next_step(judgement)
    found = {
        "rule": judgement.rule,
        "message": shown(judgement.message),
        "hint": shown(step) if step else None,
    }
    # In the single run it is seen without being asked for.
    if judgement.schedule not in ("", str(ONCE)):
        found["replay"] = replay_command(parse_schedule(judgement.schedule), options)
    return found


def _collect_hints(proof: Proof) -> list[str]:
    found: dict[str, None] = {}  # as an ordered set
    for tried in proof.tried:
        for judgement in tried.list_judgements(Verdict.HINT):
            found[shown(judgement.message)] = None
    return list(found)


def _describe_confirmed(item: Confirmed) -> dict[str, Any]:
    real = item.real
    return {
        "schedule": item.schedule,
        "simulated": _describe_seen(item.simulated),
        "real": None if real is None else _describe_seen(real),
        "agrees": item.agrees,
        "note": shown(item.note),
    }


def _describe_seen(seen: ScheduleOutcome) -> dict[str, Any]:
    performed = []
    for (name, key), count in seen.calls().items():
        performed.append({"effect": name, "key": key and shown(key), "calls": count})
    return {
        "outcomes": list(seen.outcomes),
        "performed": performed,
        "state": {name: shown(str(rows)) for name, rows in seen.state.items()},
        "dead_letters": seen.dead_letters,
        "delays": [round(delay, 1) for delay in seen.delays],
    }


# -- witnesses


def _describe_witness(witness: Witness, options: str) -> dict[str, Any]:
    judgement, tried = witness.judgement, witness.tried
    return {
        "schedule": str(tried.schedule),
        "rule": judgement.rule,
        "message": shown(judgement.message),
        "effect": judgement.effect,
        "cause": find_cause(tried.history, judgement),
        "expected": shown(judgement.expected),
        "seen": shown(judgement.seen),
        "stable": witness.stable,
        "again": witness.again,
        "events": steps(tried),
        "replay": replay_of(witness, options),
    }


def _describe_risk(risk: Witness, options: str) -> dict[str, Any]:
    """As a witness, and what it would cost, what closes it and where else it was seen."""
    grade = risk.judgement.grade
    return {
        **_describe_witness(risk, options),
        "grade": str(grade) if grade is not None else None,
        "closes": RISKS[risk.judgement.rule].closes,
        "also": list(risk.also),
        "schedules": list(map(str, risk.schedules)),
        "story": shown(tell_shortly(risk.tried.history)),
    }


def replay_of(witness: Witness, options: str) -> str:
    """What the logs leave open shows in the comparison of many schedules: there, the whole proof is
    the replay.
    """
    if witness.judgement.rule.startswith("logs"):
        return f"skillrun prove{options}"
    return replay_command(witness.tried.schedule, options)


def steps(tried: Tried) -> list[dict[str, Any]]:
    """The story as JSON values."""
    found = []
    for step in tell_story(tried.history):
        path, line = step.place or (None, None)
        found.append(
            {
                "number": step.number,
                "at_s": round(step.at_s, 1),
                "process": step.process,
                "text": step.text,
                "fault": step.fault,
                "kind": step.kind,
                "path": visible(path) if path is not None else None,
                "line": line,
            }
        )
    return found


def plan_report(proof: Proof, target: Target) -> dict[str, Any]:
    """What `--list` shows: the boundaries of the single run, and the schedules that follow from
    them.
    """
    schedules = proof.plan.schedules
    return {
        "schema_version": 1,
        "job": shown(target.spec.job),
        "boundaries": list(map(_describe_boundary, _find_boundary_events(proof))),
        "families": dict(Counter(schedule.family for schedule in schedules)),
        "skipped": _describe_skipped(proof),
        "cut": dict(sorted(proof.plan.cut.items())),
        "transitions": count_transitions(proof.histories),
        "schedules": list(map(str, schedules)),
        "incomplete": [_describe_incomplete(one, options="") for one in proof.incomplete],
    }


def _describe_boundary(event: Event) -> dict[str, Any]:
    path, line = event.place or (None, None)
    return {
        "at": event.boundary,
        "kind": event["kind"],
        "path": visible(path) if path else None,
        "line": line,
    }
